"""The median and the quartiles of repeated measurements."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Quartiles:
    """The median of repeated measurements, and the quartiles around it.

    Not the mean and the standard deviation: a single disturbed measurement would move both.
    """

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the quartiles of one or more values, interpolated between the values."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    @classmethod
    def of_ratios(cls, values: Sequence[float], base: Sequence[float]) -> Self:
        """Return the quartiles of the ratios between values and those measured beside them.

        Each value is divided by the one measured next to it: the machine's speed drifts over time.
        """
        return cls.of([value / other for value, other in zip(values, base, strict=True)])

    def text(self, digits: int = 2, scale: float = 1.0) -> str:
        """Return the median, with the quartiles in brackets: "0.90 (0.88 - 0.94)"."""
        low, median, high = (
            f"{value * scale:.{digits}f}" for value in (self.low, self.median, self.high)
        )
        return f"{median} ({low} - {high})"
