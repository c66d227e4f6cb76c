"""Messages of `send` on standard input, in hex, and replies on standard output."""

import codecs
import sys
from collections.abc import Iterator

from localechod.errors import UsageError
from localechod.text import escape, escape_all

# Bytes that are converted at a time: escapes take up to thirty times the memory.
_PIECE = 1 << 16


def lines() -> Iterator[bytes]:
    """Yield the lines of standard input as they come, without their newlines."""
    for line in sys.stdin.buffer:
        yield line.removesuffix(b"\n")


def unhex(text: bytes) -> bytes:
    """Return the bytes that hex digits stand for; spaces between bytes are allowed.

    Raises:
        UsageError: the text is not in hex.
    """
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise UsageError(
            f"{escape(text)} is not a message in hex", "two digits for each byte, as in 68656c6c6f"
        ) from None


def show(reply: bytes, *, hexadecimal: bool) -> None:
    """Print a reply at once: in hex, raw for a program, or escaped for a terminal."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    terminal = sys.stdout.isatty()
    for start in range(0, len(reply), _PIECE):
        piece = reply[start : start + _PIECE]
        if hexadecimal:
            piece = piece.hex().encode()
        elif terminal:
            text = decoder.decode(piece, final=start + _PIECE >= len(reply))
            piece = escape_all(text).encode("utf-8", "backslashreplace")
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.write(b"\n")
    sys.stdout.flush()
