"""Bars with whiskers, as a picture: how several compare in several things."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localechod.bench.drawing import box, document, line, text
from localechod.bench.quartiles import Quartiles

_WIDTH = 800
_LEFT, _RIGHT = 264, 60  # for the names of groups, and for the number behind the longest bar
_TOP, _BOTTOM = 66, 34
_BAR, _THICK, _GAP = 14, 9, 12  # from bar to bar, its thickness, and from group to group
_STEPS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
_MOST_TICKS = 7


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure.

    Attributes:
        quartiles: its length is the median, its whiskers are the quartiles.
        tone: its colour, as in localechod.bench.drawing.
    """

    quartiles: Quartiles
    tone: str


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that stand together, from above, and what they are about."""

    name: str
    bars: Sequence[Bar]


def picture(
    title: str, groups: Sequence[Group], legend: Sequence[tuple[str, str]], base: str
) -> str:
    """Return an SVG document with a bar for each figure, from 0 on a common axis.

    Args:
        title: one line above it.
        groups: at least one, with at least one bar each.
        legend: what each tone stands for, as (tone, words).
        base: what is written at 1, which is whom all are compared with.
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
        box(at(0), y - _THICK / 2, middle - at(0), _THICK, bar.tone),
        line([(low, y), (high, y)], "text"),
        *(line([(x, y - 3), (x, y + 3)], "text") for x in (low, high)),
        text(max(high, middle) + 6, y + 4, f"{bar.quartiles.median:.2f}", "note"),
    ]


def _legend(legend: Sequence[tuple[str, str]]) -> list[str]:
    parts, x = [], 20.0
    for tone, words in legend:
        parts += [box(x, 40, 10, 10, tone), text(x + 15, 49, words, "note")]
        x += 15 + 7 * len(words) + 18  # about; nothing stands behind it
    return parts
