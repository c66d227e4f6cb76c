"""Output of commands: aligned tables, colours on a terminal, JSON. All text is escaped."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from localechod.text import escape

_CODES = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36, "bold": 1, "dim": 2}


class _Painted(str):
    """Text with colour codes around it, and the same text without them, for its width."""

    __slots__ = ("plain",)

    plain: str


def colour(text: str, name: str) -> str:
    """Return an escaped text, in a colour where standard output shows colours.

    Colours are for terminals only, and not where NO_COLOR (https://no-color.org) is set.

    Args:
        text: the unescaped text.
        name: red, green, yellow, blue, cyan, bold or dim.
    """
    plain = escape(text)
    painted = _Painted(f"\033[{_CODES[name]}m{plain}\033[0m" if _colourful() else plain)
    painted.plain = plain
    return painted


def name(raw: bytes) -> str:
    """Return a socket's name, escaped, as a table cell.

    It is escaped from bytes: as text, an abstract name and a relative path that begins with "@"
    would look alike.
    """
    plain = escape(raw)
    shown = _Painted(plain)
    shown.plain = plain
    return shown


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an aligned table, one line a row, without a newline at its end.

    A narrow terminal wraps the lines: nothing is cut off. Cells are escaped here, except those that
    `colour` or `name` has returned.
    """
    cells = [[_measured(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(columns for _, columns in column) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            shown + " " * (widest - columns)
            for (shown, columns), widest in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    )


def emit(text: str) -> None:
    """Print text and a newline; untrusted text in it must have been escaped."""
    sys.stdout.write(text + "\n")


def emit_json(value: Any) -> None:
    """Print a value as indented JSON in ASCII, which no terminal and no locale can change."""
    import json  # noqa: PLC0415 - most output is text

    emit(json.dumps(value, indent=2))


def _measured(cell: str) -> tuple[str, int]:
    """Return a cell as it is shown, and its columns."""
    if isinstance(cell, _Painted):
        return cell, width(cell.plain)
    plain = escape(cell)
    return plain, width(plain)


def _colourful() -> bool:
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def width(text: str) -> int:
    """Return the columns that a text takes; an East Asian wide character takes two."""
    if text.isascii():
        return len(text)
    # Nearly every table is ASCII; the character database is loaded for other text only.
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - see above

    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)
