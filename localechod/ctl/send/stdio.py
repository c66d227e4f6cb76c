"""Messages of `send` on standard input, in hex, and replies on standard output."""

import sys
from collections.abc import Iterator

from localechod.errors import UsageError
from localechod.text import escape


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


def show(reply: bytes) -> None:
    """Print a reply at once: raw for a program, escaped for a terminal."""
    if sys.stdout.isatty():
        reply = escape(reply).encode("utf-8", "backslashreplace")
    sys.stdout.buffer.write(reply + b"\n")
    sys.stdout.flush()
