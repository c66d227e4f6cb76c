"""An SVG picture of bars with whiskers, to compare servers in several scenarios."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localechod.bench.drawing import box, document, line, text
from localechod.bench.quartiles import Quartiles

_WIDTH = 800
_LEFT, _RIGHT = 264, 60  # margins for the names of groups and for the number after a bar
_TOP, _BOTTOM = 66, 34
_BAR, _THICK, _GAP = 14, 9, 12  # the pitch of bars, their thickness, the gap between groups
_STEPS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
_MOST_TICKS = 7


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        quartiles: the median is the length of the bar, the quartiles are its whiskers.
        color: as in localechod.bench.drawing.
    """

    quartiles: Quartiles
    color: str


@dataclass(frozen=True, slots=True)
class Group:
    """Adjacent bars, from the top down, and the name to their left."""

    name: str
    bars: Sequence[Bar]


def picture(
    title: str, groups: Sequence[Group], legend: Sequence[tuple[str, str]], base: str
) -> str:
    """Return an SVG document with bars that start at 0 on a common axis.

    Args:
        title: the line above the bars.
        groups: one or more, each with one or more bars.
        legend: each color with its meaning.
        base: the label at 1, which names the baseline.
    """
    largest = max(1.0, *(bar.quartiles.high for group in groups for bar in group.bars))
    step = next((each for each in _STEPS if largest / each <= _MOST_TICKS), _STEPS[-1])
    end = step * math.ceil(largest / step)

    def at(value: float) -> float:
        return _LEFT + value / end * (_WIDTH - _LEFT - _RIGHT)

    height = _TOP + sum(_height(group) for group in groups) + _BOTTOM
    foot = height - _BOTTOM
    parts = [text(20, 26, title, "title"), *_legend(legend)]
    for number in range(round(end / step) + 1):
        x = at(number * step)
        parts.append(line([(x, _TOP), (x, foot)], "grid"))
        parts.append(text(x, foot + 16, f"{number * step:g}", "note", "middle"))
    y = float(_TOP)
    for group in groups:
        middle = y + _height(group) / 2 + 4.5
        parts.append(text(_LEFT - 12, middle, group.name, anchor="end"))
        for number, bar in enumerate(group.bars):
            parts += _bar(bar, y + (_GAP + _BAR * (2 * number + 1)) / 2, at)
        y += _height(group)
    parts.append(line([(at(1), _TOP - 4), (at(1), foot)], "text", 1.5))
    parts.append(text(at(1), _TOP - 8, base, "note", "middle"))
    return document(_WIDTH, height, title, parts)


def _height(group: Group) -> int:
    return _GAP + _BAR * len(group.bars)


def _bar(bar: Bar, y: float, at: Callable[[float], float]) -> list[str]:
    low, middle, high = at(bar.quartiles.low), at(bar.quartiles.median), at(bar.quartiles.high)
    return [
        box(at(0), y - _THICK / 2, middle - at(0), _THICK, bar.color),
        line([(low, y), (high, y)], "text"),
        *(line([(x, y - 3), (x, y + 3)], "text") for x in (low, high)),
        text(max(high, middle) + 6, y + 4, f"{bar.quartiles.median:.2f}", "note"),
    ]


def _legend(legend: Sequence[tuple[str, str]]) -> list[str]:
    parts, x = [], 20.0
    for color, meaning in legend:
        parts += [box(x, 40, 10, 10, color), text(x + 15, 49, meaning, "note")]
        x += 15 + 7 * len(meaning) + 18  # estimated: the width of the text is unknown
    return parts
