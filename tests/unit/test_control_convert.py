"""Values keep every field over the wire, and text arrives printable."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.control.convert import from_wire, to_wire
from localechod.control.messages import DaemonInfo, ReloadReport
from localechod.control.wire import control_pb2 as pb
from localechod.echo.events import Event
from localechod.echo.status import EndpointStatus, PeerRow
from localechod.text import printable

PAIRS = [
    (DaemonInfo, pb.Daemon),
    (EndpointStatus, pb.Endpoint),
    (PeerRow, pb.Peer),
    (Event, pb.Event),
    (ReloadReport, pb.ReloadReply),
]

line = st.text(st.characters(categories=["L", "N", "P"]), max_size=20)
count = st.integers(0, 2**64 - 1)
status = st.builds(
    EndpointStatus,
    **{
        f.name: count if f.type is int else line
        for f in fields(EndpointStatus)
        if f.type in {int, str}
    },
    errors=st.dictionaries(line, count, max_size=3),
    error=st.none() | line,
    hint=st.none() | line,
)


@pytest.mark.parametrize(("value", "message"), PAIRS)
def test_every_field_has_a_field_on_the_wire(value: Any, message: Any) -> None:
    names = {field.name for field in fields(value)}
    assert names <= set(message.DESCRIPTOR.fields_by_name)
    assert set(message.DESCRIPTOR.fields_by_name) - names <= {"dropped"}


@given(status)
def test_an_endpoint_arrives_unchanged(row: EndpointStatus) -> None:
    message = pb.Endpoint.FromString(to_wire(row, pb.Endpoint).SerializeToString())
    assert from_wire(message, EndpointStatus) == row


@given(
    uid=st.none() | st.integers(0, 2**32 - 1),
    pid=st.none() | st.integers(0, 2**31 - 1),
    moment=st.floats(0, 2e9),
)
def test_an_event_without_a_user_stays_without_one(
    uid: int | None, pid: int | None, moment: float
) -> None:
    event = Event("state", "stream", "text", "listening", uid, pid, moment)
    message = pb.Event.FromString(to_wire(event, pb.Event).SerializeToString())
    assert from_wire(message, Event) == event


def test_counts_arrive_in_one_order_whatever_the_order_on_the_wire() -> None:
    message = pb.Endpoint(errors=dict.fromkeys("zyxwvutsrqponmlkjihgfedcba", 1))
    assert list(from_wire(message, EndpointStatus).errors) == sorted(message.errors)


def test_lists_arrive_as_lists() -> None:
    report = ReloadReport(added=("a", "b"))
    assert list(from_wire(to_wire(report, pb.ReloadReply), ReloadReport).added) == ["a", "b"]


@given(st.text(st.characters(), max_size=20))
def test_any_text_can_be_sent_and_arrives_printable(text: str) -> None:
    event = Event("error", "x", text)
    arrived = from_wire(to_wire(event, pb.Event), Event)
    assert arrived.text.isprintable()


def test_hostile_keys_and_lists_arrive_printable() -> None:
    message = pb.Endpoint(errors={"\x1b[2J": 1})
    assert list(from_wire(message, EndpointStatus).errors) == [r"\x1b[2J"]
    about = pb.Daemon(restart_needed=["a\nb"])
    assert from_wire(about, DaemonInfo).restart_needed == [r"a\nb"]


def test_escaped_text_is_not_escaped_twice() -> None:
    assert printable(r"/run/\n\\x") == r"/run/\n\\x"


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1e300, 1e11])
def test_seconds_that_no_clock_shows_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="time"):
        from_wire(pb.Event(time=seconds), Event)
