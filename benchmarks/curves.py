"""An SVG picture of lines on logarithmic axes, to show growth."""

from collections.abc import Sequence
from dataclasses import dataclass

from localechod.bench.drawing import document, dot, line, text
from localechod.bench.figures import Axis
from localechod.bench.quartiles import Quartiles

_WIDTH = 800
_LEFT, _RIGHT = 76, 126  # margins for the numbers of the axis and for the names of the lines
_TOP, _FOOT = 40, 34
_TITLE, _PLOT, _GAP = 24, 130, 14  # of a panel: its title, its plot, and the gap below it
_NAME_HEIGHT = 14  # the least distance between the names of two lines


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity that grows.

    Attributes:
        color: as in localechod.bench.drawing.
        points: x and y of each point; both more than 0.
    """

    name: str
    color: str
    points: Sequence[tuple[float, Quartiles]]


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines with an axis of their own; the title names its quantity."""

    title: str
    lines: Sequence[Line]


def picture(title: str, across: str, panels: Sequence[Panel]) -> str:
    """Return an SVG document with panels one above the other.

    Args:
        title: for screen readers.
        across: the quantity of the common horizontal axis.
        panels: one or more, each with one or more lines.
    """
    wide = Axis([x for panel in panels for each in panel.lines for x, _ in each.points])
    parts: list[str] = []
    top = _TOP - _TITLE
    for panel in panels:
        parts += _panel(panel, top, wide)
        top += _TITLE + _PLOT + _GAP
    for decade in wide.decades():
        x = _across(wide, decade)
        parts.append(text(x, top + 6, f"{decade:,g}", "note", "middle"))
    parts.append(text(_WIDTH - 20, top + 6, across, "note", "end"))
    return document(_WIDTH, top + _FOOT, title, parts)


def _panel(panel: Panel, top: int, wide: Axis) -> list[str]:
    high = Axis(
        [value for each in panel.lines for _, s in each.points for value in (s.low, s.high)]
    )
    bottom = top + _TITLE + _PLOT

    def up(value: float) -> float:
        return bottom - high.position(value) * _PLOT

    parts = [text(_LEFT, top + _TITLE - 8, panel.title)]
    for decade in high.decades():
        parts.append(line([(_LEFT, up(decade)), (_WIDTH - _RIGHT, up(decade))], "grid"))
        parts.append(text(_LEFT - 8, up(decade) + 4, f"{decade:,g}", "note", "end"))
    for decade in wide.decades():
        x = _across(wide, decade)
        parts.append(line([(x, bottom), (x, bottom - _PLOT)], "grid"))
    free = float("inf")
    for each in sorted(panel.lines, key=lambda each: -up(each.points[-1][1].median)):
        points = [(_across(wide, x), up(quartiles.median)) for x, quartiles in each.points]
        parts.append(line(points, each.color, 2))
        for (x, y), (_, quartiles) in zip(points, each.points, strict=True):
            parts += [
                line([(x, up(quartiles.low)), (x, up(quartiles.high))], each.color),
                dot(x, y, each.color),
            ]
        # From the bottom up: a name moves up if the one below it needs the space.
        free = min(points[-1][1] + 4, free)
        parts.append(text(_WIDTH - _RIGHT + 14, free, each.name))
        free -= _NAME_HEIGHT
    return parts


def _across(axis: Axis, value: float) -> float:
    return _LEFT + axis.position(value) * (_WIDTH - _LEFT - _RIGHT)
