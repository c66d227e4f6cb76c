"""Decoding of a reply: bounded rows, and any bytes at all."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.control.connect import REPLY_ROWS
from localechod.control.decode import TooLongError, decoded
from localechod.control.wire import control_pb2 as pb

ROW = b"\x0a\0"  # an empty field 1


def test_a_message_of_every_wire_type_is_decoded() -> None:
    event = pb.Event(time=1.5, kind="state", text="x" * 300, uid=1 << 31, dropped=1 << 63)
    assert decoded(event.SerializeToString(), pb.Event) == event


def test_so_many_rows_and_no_more_are_decoded() -> None:
    assert len(decoded(ROW * REPLY_ROWS, pb.PeersReply).peers) == REPLY_ROWS
    with pytest.raises(TooLongError):
        decoded(ROW * (REPLY_ROWS + 1), pb.PeersReply)


@given(st.binary())
def test_any_bytes_are_a_message_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        assert decoded(data, pb.StatusReply) == pb.StatusReply.FromString(data)


@pytest.mark.parametrize("data", [b"\x0b\x0c", b"\x0a\x05x", b"\xff" * 11, b"\x0a"])
def test_groups_and_cut_fields_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decoded(data, pb.PeersReply)
