"""What commands print: aligned tables, colours on a terminal, JSON. Everything is escaped."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from localechod.text import escape

_CODES = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36, "bold": 1, "dim": 2}


class _Painted(str):
    """Text with its colour around it, which still knows how wide it is without."""

    __slots__ = ("plain",)

    plain: str


def colour(text: str, name: str) -> str:
    """Return a text in a colour, where the user sees colours; escaped in any case.

    Colours are shown on a terminal only, and not where NO_COLOR (https://no-color.org) is set.

    Args:
        text: what to show, as it came.
        name: red, green, yellow, blue, cyan, bold or dim.
    """
    plain = escape(text)
    painted = _Painted(f"\033[{_CODES[name]}m{plain}\033[0m" if _colourful() else plain)
    painted.plain = plain
    return painted


def name(raw: bytes) -> str:
    """Return a socket's name for a table's cell: escaped here, because the table knows text only.

    As text, an abstract name and a relative path that begins with "@" would look alike.
    """
    plain = escape(raw)
    shown = _Painted(plain)
    shown.plain = plain
    return shown


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an aligned table, one line a row, without a newline at its end.

    A terminal that is too narrow wraps the lines: nothing is ever cut off. Cells are escaped here;
    only what `colour` returned keeps its colour.
    """
    cells = [[_painted(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(width(cell.plain) for cell in column) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell + " " * (columns - width(cell.plain))
            for cell, columns in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    )


def emit(text: str) -> None:
    """Print text and a newline; what came from elsewhere has been escaped."""
    sys.stdout.write(text + "\n")


def emit_json(value: Any) -> None:
    """Print a value as indented JSON, in ASCII, so that no terminal and no locale can spoil it."""
    import json  # noqa: PLC0415 - most of what is printed is for a reader

    emit(json.dumps(value, indent=2))


def _painted(cell: str) -> _Painted:
    if isinstance(cell, _Painted):
        return cell
    plain = _Painted(escape(cell))
    plain.plain = str(plain)
    return plain


def _colourful() -> bool:
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def width(text: str) -> int:
    """Return the columns that a text takes; an East Asian wide character takes two."""
    if text.isascii():
        return len(text)
    # Nearly every table is ASCII: the database of characters is loaded for the others alone.
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - see above

    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)
