"""What a person sees of a tapped socket: lines on standard error, apart from the command's output.

Every line is one write, so that lines of the command do not get in between.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from enum import StrEnum

from localechod.text import escape_all

_ROW = 16
_NARROWEST = 40


class Style(StrEnum):
    """How the bytes are shown."""

    SHORT = "short"
    LINES = "lines"
    HEX = "hex"
    QUIET = "quiet"


class Display:
    """Prints what passes.

    Args:
        style: short is the beginning of each piece, on one line; quiet shows no bytes.
    """

    def __init__(self, style: Style) -> None:
        self._style = style
        self._width = max(shutil.get_terminal_size().columns, _NARROWEST)

    def say(self, text: str) -> None:
        """Print a line that is about a connection or the tap itself; `text` is escaped."""
        _print([text])

    def event(self, text: str) -> None:
        """Print a line about a connection, but for the quiet style; `text` is escaped."""
        if self._style is not Style.QUIET:
            _print([text])

    def data(self, number: int, direction: str, data: bytes, note: str) -> None:
        """Print bytes that passed on a connection.

        Args:
            number: of the connection.
            direction: ">" to the server, "<" to the client.
            data: the bytes.
            note: what passed along, such as " with 1 descriptor", or "".
        """
        head = f"#{number} {direction} "
        if self._style is Style.SHORT:
            head += f"{len(data)} byte{'s' * (len(data) != 1)}{note}: "
            _print([head + _beginning(data, self._width - len(head))])
        elif self._style is Style.LINES:
            _print(head + line for line in _lines(data))
        elif self._style is Style.HEX:
            _print([f"{head}{len(data)} bytes{note}", *_hex(data)])


def _print(lines: "Iterator[str] | list[str]") -> None:
    text = "".join(f"{line}\n" for line in lines)
    try:
        os.write(sys.stderr.fileno(), text.encode(errors="backslashreplace"))
    except OSError:  # nobody reads: the relay, and the command, go on
        return


def _text(data: bytes) -> str:
    return escape_all(data.decode("utf-8", "surrogateescape"))


def _beginning(data: bytes, width: int) -> str:
    text = _text(data[: width + 1])
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _lines(data: bytes) -> Iterator[str]:
    for line in data.splitlines(keepends=True):
        yield _text(line.removesuffix(b"\n").removesuffix(b"\r"))


def _hex(data: bytes) -> Iterator[str]:
    for start in range(0, len(data), _ROW):
        row = data[start : start + _ROW]
        digits = " ".join(f"{byte:02x}" for byte in row)
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"  {start:08x}  {digits:<47}  {shown}"
