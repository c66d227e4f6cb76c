"""How a connection goes on of which a crash has lost something."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.config import EndpointConfig
from localechod.echo.persist.crash_slots import (
    BOUNDARY,
    BUSY,
    MIDDLE,
    NEXT_LINE,
    UNSENT,
    SlotRecord,
)
from localechod.echo.stream.resync import ResyncFramer, go_on, rest
from localechod.framing.framers import ChunkFramer, LineFramer, RecordFramer
from localechod.framing.interface import Framer


def config(framing: str, record_size: int = 8) -> EndpointConfig:
    kind = "seqpacket" if framing == "packet" else "stream"
    return EndpointConfig(
        name="a",
        type=kind,  # type: ignore[arg-type]
        path="@a",
        framing="line" if framing == "packet" else framing,  # type: ignore[arg-type]
        record_size=record_size,
    )


@pytest.mark.parametrize(
    ("state", "skip", "before", "now", "expected"),
    [
        (BOUNDARY, 0, "line", "line", 0),
        (BOUNDARY, 0, "line", "record", 0),
        (BOUNDARY, 0, "chunk", "line", 0),
        (MIDDLE, NEXT_LINE, "line", "line", NEXT_LINE),
        (MIDDLE, NEXT_LINE, "line", "record", None),
        (MIDDLE, NEXT_LINE, "line", "chunk", None),
        (MIDDLE, 3, "record", "record", 3),
        (MIDDLE, 3, "record", "line", None),
        (MIDDLE, NEXT_LINE, "record", "record", None),
        (MIDDLE, 8, "record", "record", None),
        (MIDDLE, 0, "chunk", "chunk", None),
        (BUSY, 0, "line", "line", NEXT_LINE),
        (BUSY, 3, "record", "record", None),
        (BUSY, 0, "chunk", "chunk", None),
        (BUSY, 0, "chunk", "line", None),
        (UNSENT, 0, "line", "line", None),
        (UNSENT, 0, "record", "record", None),
        (UNSENT, 0, "", "packet", 0),
        (BUSY, 0, "", "packet", 0),
        (9, 0, "line", "line", None),
    ],
)
def test_how_a_connection_continues(
    state: int, skip: int, before: str, now: str, expected: int | None
) -> None:
    record = SlotRecord(state, skip, 8, before, 1.0, 1, "a")
    assert go_on(record, config(now)) == expected


def test_a_record_that_is_cut_goes_on_only_in_the_same_size() -> None:
    record = SlotRecord(MIDDLE, 3, 8, "record", 1.0, 1, "a")
    assert go_on(record, config("record", 16)) is None


@pytest.mark.parametrize(
    ("framer", "first", "expected"),
    [
        (LineFramer(b"", 100), b"one\ntw", NEXT_LINE),
        (RecordFramer(b"", 100, 8), b"one\0\0\0\0\0two", 5),
        (ChunkFramer(b""), b"one", 0),
    ],
)
def test_how_much_is_to_come_of_a_message(framer: Framer, first: bytes, expected: int) -> None:
    framer.feed(first)
    assert rest(framer) == expected


CUTS = st.lists(st.integers(0, 40), max_size=5)


def fed(behind: Framer, skip: int, data: bytes, cuts: list[int]) -> bytes:
    """Feed a stream that is cut anywhere; as a connection does, go on with the framer behind."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    replies = b""
    over: list[None] = []
    framer = ResyncFramer(behind, skip, lambda: over.append(None))
    for start, end in pairwise(places):
        assert over or framer.pending
        replies += bytes((behind if over else framer).feed(data[start:end]))
    assert len(over) == 1
    return replies


@given(lost=st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"x")), cuts=CUTS)
def test_after_the_next_newline_every_line_is_answered(lost: bytes, cuts: list[int]) -> None:
    framer = LineFramer(b"> ", 100)
    assert fed(framer, NEXT_LINE, lost + b"\none\ntwo\n", cuts) == b"> one\n> two\n"


@given(missing=st.integers(1, 8), cuts=CUTS)
def test_after_the_missing_bytes_every_record_is_answered(missing: int, cuts: list[int]) -> None:
    framer, record = RecordFramer(b"", 100, 8), b"one\0\0\0\0\0"
    assert fed(framer, missing, b"\n" * missing + record, cuts) == record


def test_the_end_of_what_is_lost_is_not_answered() -> None:
    framer = ResyncFramer(LineFramer(b"> ", 100), NEXT_LINE, lambda: None)
    assert framer.feed(b"rest") == framer.finish() == b""
    assert (framer.messages, framer.dropped) == (0, 0)


def test_a_framer_that_finds_the_same_boundaries_may_go_on_instead() -> None:
    lines = ResyncFramer(LineFramer(b"> ", 100), NEXT_LINE, lambda: None)
    records = ResyncFramer(RecordFramer(b"", 100, 8), 3, lambda: None)
    assert lines.fits(LineFramer(b"", 5))
    assert not lines.fits(ChunkFramer(b""))
    assert records.fits(RecordFramer(b"", 5, 8))
    assert not records.fits(RecordFramer(b"", 5, 16))
    assert rest(records) == 3
