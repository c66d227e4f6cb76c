"""How a reply looks is learnt from the first one; what is no echo is told."""

import pytest

from localechod.bench.exchange import Exchange, learn, message, request
from localechod.errors import LocalechodError


@pytest.mark.parametrize("size", [1, 26, 64, 4096])
def test_a_message_has_its_size_and_nothing_a_framing_stumbles_over(size: int) -> None:
    text = message(size)
    assert len(text) == size
    assert text.isalpha()


def test_a_request_is_framed_as_the_peer_wants_it() -> None:
    assert request(b"ab", "auto", 0, boundaries=False) == b"ab\n"
    assert request(b"ab", "line", 0, boundaries=False) == b"ab\n"
    assert request(b"ab", "chunk", 0, boundaries=False) == b"ab"
    assert request(b"ab", "record", 4, boundaries=False) == b"ab\0\0"
    assert request(b"ab", "auto", 0, boundaries=True) == b"ab"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (b"abc", b"abc"),
        (b"Hi, abc\n", b"Hi, abc\n"),
        (b"abc\r\n", b"abc\r\n"),
        (b"Hi, abc\0garbage\n", b"Hi, abc"),
        (b"Hi, abc\n\0garbage", b"Hi, abc"),
    ],
)
def test_a_greeting_before_and_padding_behind_are_an_echo(reply: bytes, text: bytes) -> None:
    assert learn(b"abc\n", b"abc", reply, "/x", boundaries=False) == Exchange(
        b"abc\n", len(reply), text, boundaries=False
    )


@pytest.mark.parametrize("reply", [b"", b"no\n", b"ab", b"abcd", b"abc and more\n"])
def test_anything_else_is_no_echo_and_is_shown(reply: bytes) -> None:
    with pytest.raises(LocalechodError, match=r"that is no echo: /x; it was sent abc and answered"):
        learn(b"abc\n", b"abc", reply, "/x", boundaries=False)


def test_a_wrong_reply_is_shown_escaped_and_cut() -> None:
    error = Exchange(b"", 50, b"a" * 50, boundaries=False).wrong(b"\x1b" + b"b" * 60, "/x")
    assert str(error) == (
        "bench failed: wrong reply: /x; it sent \\x1b"
        + "b" * 39
        + " ... (61 bytes) where "
        + "a" * 40
        + " ... (50 bytes) was due"
    )
