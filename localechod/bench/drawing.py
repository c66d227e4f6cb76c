"""The elements of SVG pictures: self-contained files, for light and dark screens.

A color is named by its purpose and has two shades. The viewer chooses between them
(`prefers-color-scheme`); so does a browser that shows the file as an image.
"""

from collections.abc import Sequence
from html import escape

_COLORS = {
    "background": ("#ffffff", "#0d1117"),
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
"""For each color its shade on a light and on a dark background."""

_TEXTS = {
    "title": ("text", "bold 15px"),
    "label": ("text", "13px"),
    "problem": ("alarm", "13px"),
    "note": ("dim", "12px"),
    "small": ("dim", "10px"),
}
"""For each kind of text its color and its font."""


def document(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    """Return an SVG 1.1 document; screen readers read the `title`."""
    light, dark = (_shades(side) for side in (0, 1))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{light}@media (prefers-color-scheme:dark){{{dark}}}</style>",
            box(0, 0, width, height, "background"),
            *parts,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, content: str, kind: str = "label", anchor: str = "start") -> str:
    """Return a text that starts, ends or is centered at a point of its baseline.

    Args:
        x: pixels from the left.
        y: pixels from the top.
        content: the text.
        kind: title, label, problem, note or small.
        anchor: start, middle or end.
    """
    return (
        f'<text class="{kind}" x="{_short(x)}" y="{_short(y)}" text-anchor="{anchor}">'
        f"{escape(content)}</text>"
    )


def box(x: float, y: float, width: float, height: float, color: str) -> str:
    """Return a filled rectangle."""
    return (
        f'<rect class="{color}" x="{_short(x)}" y="{_short(y)}" '
        f'width="{_short(width)}" height="{_short(height)}"/>'
    )


def dot(x: float, y: float, color: str) -> str:
    """Return a filled circle with a diameter of six pixels."""
    return f'<circle class="{color}" cx="{_short(x)}" cy="{_short(y)}" r="3"/>'


def line(points: Sequence[tuple[float, float]], color: str, width: float = 1) -> str:
    """Return a line from point to point."""
    path = "L".join(f"{_short(x)} {_short(y)}" for x, y in points)
    return f'<path class="{color}" d="M{path}" stroke-width="{_short(width)}"/>'


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _shades(side: int) -> str:
    # Letters have an outline in the background's color, so that no line runs through them.
    outline = f"text{{paint-order:stroke;stroke:{_COLORS['background'][side]};stroke-width:3px}}"
    colors = (
        f".{color}{{fill:{shades[side]}}}path.{color}{{fill:none;stroke:{shades[side]}}}"
        for color, shades in _COLORS.items()
    )
    texts = (
        f".{kind}{{fill:{_COLORS[color][side]};font:{font} sans-serif}}"
        for kind, (color, font) in _TEXTS.items()
    )
    return "".join([outline, *colors, *texts])
