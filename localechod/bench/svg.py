"""The plot of latencies as an SVG picture."""

from collections.abc import Mapping, Sequence

from localechod.bench.drawing import box, document, dot, line, text
from localechod.bench.figures import Axis, duration

_WIDTH = 760
_LEFT = 110
_RIGHT = 30
_TOP = 70
_ROW = 34
_COLORS = ("likely", "seldom", "rare")
"""From p50 to p90, from p90 to p99, and from p99 to p99.9."""

_LEGEND = "latency: bar from p50 over p90 and p99 to p99.9, dot at the maximum"


def picture(rows: Mapping[str, Sequence[int]], title: str, notes: Mapping[str, str]) -> str:
    """Return an SVG document that shows latencies on a common logarithmic axis.

    Args:
        rows: for each name its percentiles as `figures.percentiles` returns them, in ns.
        title: the line above the plot.
        notes: for each name, the text below its bar.
    """
    axis = Axis([max(1, value) for values in rows.values() for value in values])
    bottom = _TOP + _ROW * len(rows)

    def at(value: float) -> float:
        return round(_LEFT + axis.position(max(1.0, value)) * (_WIDTH - _LEFT - _RIGHT), 1)

    parts = [text(20, 24, title, "title"), text(20, 44, _LEGEND, "note")]
    for decade in axis.decades():
        x = at(decade)
        parts.append(line([(x, _TOP - 6), (x, bottom)], "grid"))
        parts.append(text(x, bottom + 16, duration(decade), "note", "middle"))
    for number, (name, values) in enumerate(rows.items()):
        y = _TOP + _ROW * number + _ROW // 2
        parts.append(text(_LEFT - 10, y + 4, name, anchor="end"))
        for color, start, end in zip(_COLORS, values, values[1:], strict=False):
            parts.append(box(at(start), y - 6, max(1.0, at(end) - at(start)), 8, color))
        parts.append(dot(at(values[-1]), y - 2, "alarm"))
        parts.append(text(at(values[0]), y + 14, notes.get(name, ""), "small"))
    return document(_WIDTH, bottom + 30, title, parts)
