"""Filling paragraphs for a terminal, in scripts with spaces between words and in those without."""

from collections.abc import Iterator

from localechod.ctl.render import width

# What must not begin a line, and what must not end one (JLREQ and CLREQ call it kinsoku).
_CLOSING = "，。；：、！？）》”’…,.;:!?)"  # noqa: RUF001 - these very characters are meant
_OPENING = "（《“‘("  # noqa: RUF001 - as above


def fill(text: str, columns: int) -> list[str]:
    """Cut a text into lines of at most so many columns; what cannot be cut may be longer.

    A line is cut at a space, or between two characters where at least one of them is as wide as
    Chinese ones are, but never in front of a comma or behind an opening bracket.
    """
    lines, line, taken = [], "", 0
    for piece, space in _pieces(text):
        wide = width(piece)
        gap = 1 if space and line else 0
        if line and taken + gap + wide > columns:
            lines.append(line)
            line, taken = piece, wide
        else:
            line += " " * gap + piece
            taken += gap + wide
    return [*lines, line]


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield what must stay in one piece, and whether a space stands before it."""
    for word in text.split():
        begin = 0
        for at in range(1, len(word)):
            if _may_part(word[at - 1], word[at]):
                yield word[begin:at], begin == 0
                begin = at
        yield word[begin:], begin == 0


def _may_part(before: str, after: str) -> bool:
    if before in _OPENING or after in _CLOSING:
        return False
    return width(before) > 1 or width(after) > 1
