"""What SVG pictures are made of: one file without anything outside it, for light and dark screens.

A tone is a colour by its purpose. Which of its two shades it has is decided where the picture is
looked at (`prefers-color-scheme`), also by a browser that shows the file as an image.
"""

from collections.abc import Sequence
from html import escape

_TONES = {
    "ground": ("#ffffff", "#0d1117"),
    "text": ("#1f2328", "#e6edf3"),
    "dim": ("#57606a", "#9198a1"),
    "grid": ("#d8dee4", "#30363d"),
    "first": ("#0969da", "#58a6ff"),
    "pale": ("#8cbcf2", "#25548f"),
    "second": ("#c4681c", "#e09b4f"),
    "third": ("#8c959f", "#768390"),
    "likely": ("#1b4965", "#79c0ff"),
    "seldom": ("#3d85a8", "#388bfd"),
    "rare": ("#8fc1d9", "#1f4e8c"),
    "alarm": ("#b23a48", "#ff7b72"),
}
"""For each tone its shade on a light ground and on a dark one."""

_LETTERS = {
    "title": ("text", "bold 15px"),
    "label": ("text", "13px"),
    "note": ("dim", "12px"),
    "small": ("dim", "10px"),
}
"""For each kind of text its tone and its font."""


def document(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    """Return an SVG 1.1 document; `title` is for who hears it read out."""
    light, dark = (_shades(side) for side in (0, 1))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{light}@media (prefers-color-scheme:dark){{{dark}}}</style>",
            box(0, 0, width, height, "ground"),
            *parts,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, words: str, kind: str = "label", anchor: str = "start") -> str:
    """Return words that start, end or have their middle at a point of their base line.

    Args:
        x: pixels from the left.
        y: pixels from above.
        words: what is written.
        kind: title, label, note or small.
        anchor: start, middle or end.
    """
    return (
        f'<text class="{kind}" x="{_short(x)}" y="{_short(y)}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def box(x: float, y: float, width: float, height: float, tone: str) -> str:
    """Return a filled rectangle."""
    return (
        f'<rect class="{tone}" x="{_short(x)}" y="{_short(y)}" '
        f'width="{_short(width)}" height="{_short(height)}"/>'
    )


def dot(x: float, y: float, tone: str) -> str:
    """Return a filled circle of six pixels."""
    return f'<circle class="{tone}" cx="{_short(x)}" cy="{_short(y)}" r="3"/>'


def line(points: Sequence[tuple[float, float]], tone: str, width: float = 1) -> str:
    """Return a line from point to point."""
    way = "L".join(f"{_short(x)} {_short(y)}" for x, y in points)
    return f'<path class="{tone}" d="M{way}" stroke-width="{_short(width)}"/>'


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _shades(side: int) -> str:
    # Around letters lies a seam of the ground's colour, so that no line runs through them.
    seam = f"text{{paint-order:stroke;stroke:{_TONES['ground'][side]};stroke-width:3px}}"
    tones = (
        f".{tone}{{fill:{shades[side]}}}path.{tone}{{fill:none;stroke:{shades[side]}}}"
        for tone, shades in _TONES.items()
    )
    letters = (
        f".{kind}{{fill:{_TONES[tone][side]};font:{font} sans-serif}}"
        for kind, (tone, font) in _LETTERS.items()
    )
    return "".join([seam, *tones, *letters])
