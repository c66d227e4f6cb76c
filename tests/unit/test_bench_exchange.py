"""The form of the replies is learnt from the first one; other servers are refused."""

import pytest

from localechod.bench.exchange import Exchange, learn, message, request
from localechod.errors import LocalechodError


@pytest.mark.parametrize("size", [1, 26, 64, 4096])
def test_a_message_has_its_size_and_only_letters(size: int) -> None:
    text = message(size)
    assert len(text) == size
    assert text.isalpha()


def test_a_request_is_framed_as_asked() -> None:
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
def test_a_greeting_may_precede_an_echo_and_padding_follow_it(reply: bytes, text: bytes) -> None:
    assert learn(b"abc\n", b"abc", reply, "/x", boundaries=False) == Exchange(
        b"abc\n", len(reply), text, boundaries=False
    )


@pytest.mark.parametrize("reply", [b"", b"no\n", b"ab", b"abcd", b"abc and more\n"])
def test_any_other_reply_is_refused_and_shown(reply: bytes) -> None:
    with pytest.raises(LocalechodError, match=r"not an echo server: /x; it replied .+ to abc; "):
        learn(b"abc\n", b"abc", reply, "/x", boundaries=False)


def test_a_wrong_reply_is_shown_escaped_and_shortened() -> None:
    error = Exchange(b"", 50, b"a" * 50, boundaries=False).wrong_reply(b"\x1b" + b"b" * 60, "/x")
    assert str(error) == (
        "bench failed: wrong reply: /x; it sent \\x1b"
        + "b" * 39
        + " ... (61 bytes) instead of "
        + "a" * 40
        + " ... (50 bytes)"
    )
