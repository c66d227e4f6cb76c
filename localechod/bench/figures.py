"""Numbers for people to read, and the axis on which latencies are drawn: pure functions."""

import math
from collections.abc import Sequence

from localechod.bench.histogram import Histogram

PERCENTS = (50.0, 90.0, 99.0, 99.9)
"""The percentiles that are shown beside the maximum."""

_UNITS = (("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0))


def percentiles(latencies: Histogram) -> list[int]:
    """Return the PERCENTS, then the maximum, in the histogram's unit."""
    return [*map(latencies.percentile, PERCENTS), latencies.largest]


def rounded(value: float) -> str:
    """Return a number with three significant digits, or with all digits before the point.

    For example 1,234 or 0.0123. None of these measurements is more precise.
    """
    if value >= 100 or not value:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def duration(nanoseconds: float) -> str:
    """Return a time in the unit that suits it: "1 ms", "12.3 us"."""
    name, size = next((each for each in _UNITS if nanoseconds >= each[1]), _UNITS[-1])
    value = nanoseconds / size
    return f"{value:g} {name}" if value in {1, 10, 100} else f"{rounded(value)} {name}"


class Axis:
    """A logarithmic axis that covers some values in whole decades.

    Args:
        values: one or more, each greater than 0.
    """

    def __init__(self, values: Sequence[float]) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(math.ceil(math.log10(max(values))), self._low + 1)

    def position(self, value: float) -> float:
        """Return the position of a value: 0 at the beginning of the axis, 1 at its end."""
        return (math.log10(value) - self._low) / (self._high - self._low)

    def decades(self) -> list[float]:
        """Return the powers of ten on the axis, both ends included."""
        return [10.0**power for power in range(self._low, self._high + 1)]
