"""The same plot as a picture: SVG 1.1, one file without anything outside it."""

from collections.abc import Mapping, Sequence
from html import escape

from localechod.bench.figures import Axis, span

_WIDTH = 760
_LEFT = 110
_RIGHT = 30
_TOP = 70
_ROW = 34
_COLOURS = ("#1b4965", "#3d85a8", "#8fc1d9")
"""Of p50 to p90, p90 to p99, p99 to p99.9."""


def picture(rows: Mapping[str, Sequence[int]], title: str, notes: Mapping[str, str]) -> str:
    """Return an SVG document that shows latencies on a common logarithmic axis.

    Args:
        rows: for each name its percentiles as `figures.percentiles` returns them, in ns.
        title: one line above it.
        notes: for each name, what is written at the right of its line.
    """
    axis = Axis([max(1, value) for values in rows.values() for value in values])
    bottom = _TOP + _ROW * len(rows)

    def at(value: float) -> float:
        return round(_LEFT + axis.place(max(1.0, value)) * (_WIDTH - _LEFT - _RIGHT), 1)

    parts = [_text(20, 24, title, size=15), _text(20, 44, _LEGEND, size=11)]
    for decade in axis.decades():
        x = at(decade)
        parts.append(f'<path d="M{x} {_TOP - 6}V{bottom}" stroke="#cccccc"/>')
        parts.append(_text(x, bottom + 16, span(decade), size=11, anchor="middle"))
    for number, (name, values) in enumerate(rows.items()):
        y = _TOP + _ROW * number + _ROW // 2
        parts.append(_text(_LEFT - 10, y + 4, name, anchor="end"))
        for colour, start, end in zip(_COLOURS, values, values[1:], strict=False):
            width = max(1.0, round(at(end) - at(start), 1))
            parts.append(
                f'<rect x="{at(start)}" y="{y - 6}" width="{width}" height="8" fill="{colour}"/>'
            )
        parts.append(f'<circle cx="{at(values[-1])}" cy="{y - 2}" r="3" fill="#b23a48"/>')
        parts.append(_text(at(values[0]), y + 14, notes.get(name, ""), size=10))
    return _document(bottom + 30, parts)


_LEGEND = "latency: bar from p50 over p90 and p99 to p99.9, dot at the maximum"


def _document(height: int, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">'
    )
    ground = f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, *, size: int = 13, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
