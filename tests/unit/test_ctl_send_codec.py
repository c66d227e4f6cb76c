"""The bytes of a message and the end of its reply, without I/O."""

import errno
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.ctl.send.codec import Chunk, Exchange, Foreign, Framed, Whole, choose
from localechod.errors import SocketError, UsageError

PATH = "/run/x.sock"


def answer_to(
    exchange: Exchange, message: bytes, *reads: bytes, over: bool = False
) -> bytes | None:
    """Ask, feed what the reads returned, and return the reply."""
    exchange.ask(message)
    for data in reads:
        exchange.feed(data)
    return exchange.answer(over=over)


def padded(text: bytes, garbage: bytes = b"\0") -> bytes:
    """Return a reply as the tutorial's server sends it: text, NUL, and bytes of its stack."""
    return text + b"\0" + (garbage * 4096)[: 4096 - len(text) - 1]


def test_a_line_gets_a_newline_and_one_reply() -> None:
    assert Framed("line", 4096, PATH).ask(b"hello") == (b"hello\n", 1)


def test_a_message_of_three_lines_gets_three_replies() -> None:
    exchange = Framed("line", 4096, PATH)
    assert exchange.ask(b"a\nb\nc") == (b"a\nb\nc\n", 3)
    exchange.feed(b"Hi, a\nHi, b\nHi, c\n")
    assert [exchange.answer(over=False) for _ in range(4)] == [b"Hi, a", b"Hi, b", b"Hi, c", None]


def test_a_line_is_no_reply_before_its_newline_unless_nothing_more_can_come() -> None:
    exchange = Framed("line", 4096, PATH)
    assert answer_to(exchange, b"x", b"Hi, x") is None
    assert exchange.answer(over=True) == b"Hi, x"
    assert exchange.answer(over=True) is None


def test_a_record_is_padded_and_its_reply_ends_at_the_nul() -> None:
    exchange = Framed("record", 16, PATH)
    assert exchange.ask(b"g1") == (b"g1".ljust(16, b"\0"), 1)
    exchange.feed(b"Hi, g1\0garb")
    assert exchange.answer(over=False) is None
    assert exchange.answer(over=True) is None
    exchange.feed(b"age..")
    assert exchange.answer(over=False) == b"Hi, g1"


def test_a_message_that_no_record_can_carry_is_refused_before_it_is_cut() -> None:
    exchange = Framed("record", 16, PATH)
    assert exchange.ask(b"x" * 15)[0] == b"x" * 15 + b"\0"
    with pytest.raises(SocketError) as caught:
        exchange.ask(b"x" * 16)
    assert caught.value.errno == errno.EMSGSIZE
    assert str(caught.value) == (
        "send failed: Message too long (90): /run/x.sock; a record of 16 bytes carries 15"
    )
    with pytest.raises(UsageError, match="NUL"):
        exchange.ask(b"a\0b")


def test_a_chunk_is_whole_when_as_much_came_back_as_went_out() -> None:
    exchange = Chunk()
    assert exchange.ask(b"abcd") == (b"abcd", 1)
    exchange.feed(b"ab")
    assert exchange.answer(over=False) is None
    exchange.feed(b"cd")
    assert exchange.answer(over=False) == b"abcd"


def test_a_shorter_chunk_is_whole_when_nothing_more_comes() -> None:
    exchange = Chunk()
    assert answer_to(exchange, b"abcd", b"ok") is None
    assert exchange.answer(over=True) == b"ok"
    assert exchange.answer(over=True) is None


def test_the_rest_of_an_earlier_chunk_is_no_reply_to_the_next_message() -> None:
    exchange = Chunk()
    assert answer_to(exchange, b"a", b"A") == b"A"
    exchange.feed(b"late")
    assert answer_to(exchange, b"b", b"B") == b"B"


def test_an_empty_chunk_is_refused_because_it_would_never_be_sent() -> None:
    with pytest.raises(UsageError, match="--framing line"):
        Chunk().ask(b"")


def test_the_kernels_messages_are_replies_one_for_one_also_empty_ones() -> None:
    exchange = Whole()
    assert exchange.ask(b"") == (b"", 1)
    assert exchange.answer(over=True) is None
    exchange.feed(b"")
    exchange.feed(b"a\0\n")
    assert [exchange.answer(over=False) for _ in range(3)] == [b"", b"a\0\n", None]


def test_a_foreign_stream_is_asked_by_a_line() -> None:
    assert Foreign().ask(b"g1") == (b"g1\n", 1)


def test_a_foreign_reply_ends_at_a_newline() -> None:
    exchange = Foreign()
    assert answer_to(exchange, b"a", b"A\n") == b"A"
    assert answer_to(exchange, b"b", b"B\n") == b"B"


def test_a_foreign_reply_ends_at_a_nul() -> None:
    assert answer_to(Foreign(), b"a", b"A\0") == b"A"


def test_a_foreign_reply_without_any_mark_ends_at_a_pause() -> None:
    exchange = Foreign()
    assert answer_to(exchange, b"a", b"A") is None
    assert exchange.answer(over=True) == b"A"
    assert exchange.answer(over=True) is None


def test_extra_output_of_a_foreign_line_server_is_no_later_reply() -> None:
    exchange = Foreign()
    assert answer_to(exchange, b"a", b"A\nmore\n") == b"A"
    assert answer_to(exchange, b"b", b"B\n") == b"B"


@given(
    garbage=st.binary(min_size=1, max_size=64),
    newline=st.booleans(),
    cuts=st.lists(st.integers(0, 4095), max_size=6),
    late=st.integers(0, 4095),
)
def test_bytes_after_the_nul_of_a_record_are_never_printed(
    *, garbage: bytes, newline: bool, cuts: list[int], late: int
) -> None:
    """However the record is cut into reads, and also where its end comes with the next reply."""
    exchange = Foreign()
    text = b"Hi, g1\n" if newline else b"Hi, g1"
    # In any record the NUL follows the newline; a cut between the two shows by it.
    record = padded(text, garbage)
    early, rest = record[: max(late, 7)], record[max(late, 7) :]
    edges = [0, *sorted(cut for cut in cuts if cut < len(early)), len(early)]
    exchange.ask(b"g1")
    replies = []
    for start, end in pairwise(edges):
        exchange.feed(early[start:end])
        replies.append(exchange.answer(over=False))
    assert [reply for reply in replies if reply is not None] == [b"Hi, g1"]
    assert answer_to(exchange, b"g2", rest, padded(b"Hi, g2\n", garbage)) == b"Hi, g2"


def test_a_peer_that_ends_replies_by_a_nul_alone_is_understood_after_one_pause() -> None:
    exchange = Foreign()
    assert answer_to(exchange, b"a", b"A\0") == b"A"
    assert answer_to(exchange, b"b", b"B\0") is None
    assert exchange.answer(over=True) == b"B"
    assert answer_to(exchange, b"c", b"C\0") == b"C"


def test_a_reply_longer_than_a_record_owes_no_padding() -> None:
    exchange = Foreign()
    assert answer_to(exchange, b"a", b"A" * 5000 + b"\0") == b"A" * 5000
    assert answer_to(exchange, b"b", b"B\0") == b"B"


@pytest.mark.parametrize(
    ("kind", "framing", "expected"),
    [
        ("stream", "auto", Foreign),
        ("stream", "line", Framed),
        ("stream", "record", Framed),
        ("stream", "chunk", Chunk),
        ("datagram", "auto", Whole),
        ("seqpacket", "line", Whole),
    ],
)
def test_each_type_and_framing_has_its_exchange(kind: str, framing: str, expected: type) -> None:
    assert type(choose(kind, framing, 4096, PATH)) is expected
