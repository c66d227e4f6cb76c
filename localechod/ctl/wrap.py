"""Filling paragraphs for a terminal, in scripts with and without spaces between words."""

from collections.abc import Iterator

from localechod.ctl.render import width

# Characters that must not begin a line, and those that must not end one: the rule that Japanese
# typesetting calls kinsoku (W3C JLREQ), and that Chinese has as well (W3C CLREQ).
_CLOSING = "，。；：、！？）》”’…,.;:!?)"  # noqa: RUF001 - full-width punctuation is intended
_OPENING = "（《“‘("  # noqa: RUF001 - as above


def fill(text: str, columns: int) -> list[str]:
    """Break a text into lines of at most `columns` columns; an unbreakable word may be longer.

    A line breaks at a space, or between two characters of which one or both have the double width
    of Chinese characters, but never before closing or after opening punctuation.
    """
    lines, line, used = [], "", 0
    for piece, space in _pieces(text):
        piece_width = width(piece)
        gap = 1 if space and line else 0
        if line and used + gap + piece_width > columns:
            lines.append(line)
            line, used = piece, piece_width
        else:
            line += " " * gap + piece
            used += gap + piece_width
    return [*lines, line]


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each unbreakable piece, and whether a space precedes it."""
    for word in text.split():
        start = 0
        for at in range(1, len(word)):
            if _may_break(word[at - 1], word[at]):
                yield word[start:at], start == 0
                start = at
        yield word[start:], start == 0


def _may_break(before: str, after: str) -> bool:
    if before in _OPENING or after in _CLOSING:
        return False
    return width(before) > 1 or width(after) > 1
