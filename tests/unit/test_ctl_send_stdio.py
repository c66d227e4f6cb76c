"""Replies of `send` on a terminal, in hex and raw; converted in pieces."""

import io
import sys
import tracemalloc

import pytest

from localechod.ctl.send import stdio
from localechod.ctl.send.stdio import show


class Terminal(io.BytesIO):
    """A standard output that is a terminal, or is not."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.buffer = self
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


def shown(
    reply: bytes,
    monkeypatch: pytest.MonkeyPatch,
    *,
    terminal: bool = True,
    hexadecimal: bool = False,
) -> bytes:
    output = Terminal(is_terminal=terminal)
    monkeypatch.setattr(sys, "stdout", output)
    show(reply, hexadecimal=hexadecimal)
    return output.getvalue()


@pytest.mark.parametrize("length", [0, 65_533, 65_534, 65_535, 65_536])
def test_a_character_of_several_bytes_is_whole_wherever_the_pieces_end(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "x" * length + "\u4f60\u597d"
    assert shown(text.encode(), monkeypatch) == text.encode() + b"\n"


@pytest.mark.parametrize(
    ("reply", "escaped"),
    [
        (b"", b"\n"),
        (b"@x", b"@x\n"),
        (b"\0x", b"\\x00x\n"),
        (b"\x1b[2J\xff", b"\\x1b[2J\\xff\n"),
        (b"cut \xe4\xbd", b"cut \\xe4\\xbd\n"),
    ],
)
def test_a_terminal_gets_escapes(
    reply: bytes, escaped: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(reply, monkeypatch) == escaped


def test_a_program_gets_the_bytes_or_hex(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(b"\x1b\xff", monkeypatch, terminal=False) == b"\x1b\xff\n"
    long = bytes(range(256)) * 1000
    expected = long.hex().encode() + b"\n"
    assert shown(long, monkeypatch, terminal=False, hexadecimal=True) == expected


def test_a_long_reply_is_not_converted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "_PIECE", 1 << 10)
    reply = b"\x1b" * (1 << 18)
    output = Terminal(is_terminal=True)
    monkeypatch.setattr(output, "write", len)
    monkeypatch.setattr(sys, "stdout", output)
    tracemalloc.start()
    try:
        show(reply, hexadecimal=False)
        assert tracemalloc.get_traced_memory()[1] < len(reply)
    finally:
        tracemalloc.stop()
