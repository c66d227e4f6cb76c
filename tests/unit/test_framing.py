"""Framing is the same however the bytes are cut into reads."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.framing.framers import ChunkFramer, LineFramer, RecordFramer
from localechod.framing.interface import Framer, MessageTooLongError
from localechod.framing.messages import encode, take
from localechod.framing.pieces import Pieces

LIMIT = 12
PREFIX = b"Hi, "


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes at these places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places) if start < end]


def run(framer: Framer, parts: list[bytes]) -> tuple[bytes, bool]:
    """Feed everything and finish; return all replies, and whether the connection was ended."""
    replies = b""
    try:
        for part in parts:
            replies += bytes(framer.feed(part))
    except MessageTooLongError as error:
        return replies + bytes(error.replies), True
    return replies + bytes(framer.finish()), False


line_bytes = st.lists(
    st.one_of(st.just(b"\n"), st.binary(max_size=LIMIT + 3), st.just(b"a" * LIMIT), st.just(b"\0")),
    max_size=12,
).map(b"".join)
cuts = st.lists(st.integers(min_value=0, max_value=10_000), max_size=8)


@given(line_bytes, cuts)
def test_lines_are_answered_alike_for_any_split(data: bytes, places: list[int]) -> None:
    whole, split = LineFramer(PREFIX, LIMIT), LineFramer(PREFIX, LIMIT)
    assert run(split, pieces(data, places)) == run(whole, [data] if data else [])
    assert (split.messages, split.dropped) == (whole.messages, whole.dropped)


@given(line_bytes, cuts)
def test_lines_match_a_plain_model(data: bytes, places: list[int]) -> None:
    expected, ended = b"", False
    *lines, rest = data.split(b"\n")
    for line in lines:
        if len(line) > LIMIT:
            ended = True
            break
        expected += PREFIX + line + b"\n"
    if not ended and len(rest) > LIMIT:
        ended = True
    elif not ended and rest:
        expected += PREFIX + rest
    assert run(LineFramer(PREFIX, LIMIT), pieces(data, places)) == (expected, ended)


@given(st.binary(max_size=200), cuts, st.integers(min_value=5, max_value=40))
def test_records_are_answered_alike_for_any_split(
    data: bytes, places: list[int], size: int
) -> None:
    whole, split = RecordFramer(PREFIX, LIMIT, size), RecordFramer(PREFIX, LIMIT, size)
    assert run(split, pieces(data, places)) == run(whole, [data] if data else [])
    assert (split.messages, split.dropped) == (whole.messages, whole.dropped)


@given(st.binary(max_size=200), cuts)
def test_chunks_without_prefix_give_every_byte_back(data: bytes, places: list[int]) -> None:
    assert run(ChunkFramer(b""), pieces(data, places)) == (data, False)


@given(
    st.lists(
        st.binary(max_size=20).filter(lambda m: b"\n" not in m and b"\0" not in m), max_size=8
    ),
    cuts,
)
@pytest.mark.parametrize("framing", ["line", "record"])
def test_a_client_takes_back_the_message_that_it_encodes(
    framing: str, messages: list[bytes], places: list[int]
) -> None:
    wire = b"".join(encode(message, framing, 32) for message in messages)
    buffer, taken = bytearray(), []
    for piece in pieces(wire, places):
        buffer += piece
        while (message := take(buffer, framing, 32)) is not None:
            taken.append(message)
    assert taken == messages
    assert not buffer


def test_a_chunk_is_taken_as_it_came() -> None:
    assert take(bytearray(b"ab\n"), "chunk", 0) == b"ab\n"
    assert take(bytearray(), "chunk", 0) is None
    assert encode(b"ab", "chunk", 0) == b"ab"


def test_lines_before_one_that_is_too_long_are_answered() -> None:
    framer = LineFramer(b"> ", 3)
    with pytest.raises(MessageTooLongError) as caught:
        framer.feed(b"one\ntwo\nfour!\nsix\n")
    assert caught.value.replies == b"> one\n> two\n"
    assert (framer.messages, framer.dropped, framer.pending) == (2, 1, b"")


def test_a_line_of_exactly_the_limit_is_answered_and_one_more_byte_is_not() -> None:
    assert LineFramer(b"", 3).feed(b"abc\n") == b"abc\n"
    with pytest.raises(MessageTooLongError):
        LineFramer(b"", 3).feed(b"abcd")


def test_a_record_reply_is_cut_so_that_it_still_ends_in_a_nul() -> None:
    reply = RecordFramer(PREFIX, 100, 8).feed(b"abcdefgh")
    assert reply == b"Hi, abc\0"


def test_a_record_ends_at_its_first_nul_and_what_follows_is_not_sent_back() -> None:
    assert RecordFramer(PREFIX, 100, 16).feed(b"g1\n\0leaked stack!") == b"Hi, g1\n".ljust(
        16, b"\0"
    )


def test_an_incomplete_record_at_the_end_is_dropped_and_counted() -> None:
    framer = RecordFramer(PREFIX, 100, 8)
    assert framer.feed(b"abc") == b""
    assert framer.finish() == b""
    assert framer.dropped == 1


def test_an_empty_line_is_a_message_and_an_empty_rest_is_none() -> None:
    framer = LineFramer(PREFIX, 100)
    assert framer.feed(b"\n\n") == b"Hi, \nHi, \n"
    assert framer.finish() == b""
    assert framer.messages == 2


def test_observers_see_each_message_once() -> None:
    seen: list[bytes] = []
    lines = LineFramer(b"", 100, seen.extend)
    lines.feed(b"a\nb\nc")
    lines.finish()
    RecordFramer(b"", 100, 4, seen.extend).feed(b"d\0\0\0")
    ChunkFramer(b"", seen.extend).feed(b"e")
    assert seen == [b"a", b"b", b"c", b"d", b"e"]


@pytest.mark.parametrize("framer", [LineFramer(PREFIX, LIMIT), RecordFramer(PREFIX, LIMIT, 40)])
def test_an_incomplete_message_grows_in_place_however_often_it_is_added_to(framer: Framer) -> None:
    for _ in range(2):
        framer.feed(b"x")
    grown = framer.pending
    for _ in range(LIMIT - 2):
        framer.feed(b"x")
    assert framer.pending is grown
    assert bytes(grown) == b"x" * LIMIT


def test_pieces_are_the_bytes_that_were_added_and_not_taken_away() -> None:
    pieces = Pieces(b"ab")
    for letter in (b"c", b"d", b"e"):
        pieces.append(letter * 200_000)
    pieces.prepend(b"-")
    whole = b"-ab" + b"c" * 200_000 + b"d" * 200_000 + b"e" * 200_000
    assert bytes(pieces) == whole
    assert [len(piece) for piece in pieces.some(10)] == [1, 200_002, 200_000, 200_000]
    for size in (1, 50_000, 150_002, 250_000):
        pieces.drop(size)
        whole = whole[size:]
        assert (bytes(pieces), len(pieces)) == (whole, len(whole))
        assert b"".join(pieces.some(10)) == whole
        assert len(pieces.some(1)) == 1


def test_a_long_line_is_never_copied_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(_pieces: Pieces) -> bytes:
        raise AssertionError("all of it was copied")

    framer = LineFramer(PREFIX, 1 << 24)
    read = b"x" * (1 << 16)
    with monkeypatch.context() as patched:
        patched.setattr(Pieces, "__bytes__", forbid)
        for _ in range(255):
            assert framer.feed(read) == b""
        reply = framer.feed(b"y\n")
        assert isinstance(reply, Pieces)
        assert all(len(piece) <= 1 << 18 for piece in reply.some(1000))
    assert bytes(reply) == PREFIX + read * 255 + b"y\n"


def test_a_line_in_many_reads_is_answered_like_any_other() -> None:
    seen: list[bytes] = []
    framer = LineFramer(PREFIX, 9, seen.extend)
    for part in (b"one\nab", b"cd", b"ef"):
        framer.feed(part)
    assert bytes(framer.pending) == b"abcdef"
    assert bytes(framer.feed(b"ghi\ntwo\nth")) == PREFIX + b"abcdefghi\n" + PREFIX + b"two\n"
    framer.feed(b"re")
    assert framer.feed(b"e") == b""
    assert bytes(framer.finish()) == PREFIX + b"three"
    assert (framer.messages, framer.pending) == (4, b"")
    assert seen == [b"one", b"abcdefghi", b"two", b"three"]


@pytest.mark.parametrize(
    ("rest", "replies"), [(b"j\ntwo\n", b""), (b"\ntoo long for this\n", PREFIX + b"abcdefghi\n")]
)
def test_a_line_too_long_after_several_reads_ends_the_replies(rest: bytes, replies: bytes) -> None:
    framer = LineFramer(PREFIX, 9)
    for part in (b"abc", b"def", b"ghi"):
        framer.feed(part)
    with pytest.raises(MessageTooLongError) as caught:
        framer.feed(rest)
    assert bytes(caught.value.replies) == replies
    assert (framer.dropped, framer.pending) == (1, b"")


def test_a_chunk_after_a_change_of_framing_includes_what_was_pending() -> None:
    framer = ChunkFramer(PREFIX)
    framer.pending = b"left "
    assert framer.feed(b"over") == b"Hi, left over"
    assert framer.pending == b""
