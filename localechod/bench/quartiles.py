"""What repeated measurements say together: the middle, and how far they lie apart."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Quartiles:
    """The median of repeats and the quartiles around it.

    Not the mean and its deviation: one repeat that something else disturbed would move both.
    """

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of at least one value; quartiles are interpolated between values."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    @classmethod
    def of_ratios(cls, values: Sequence[float], base: Sequence[float]) -> Self:
        """Return the spread of values over those measured beside them, one by one.

        Each repeat is divided by its neighbour, as the machine's speed drifts from one to the next.
        """
        return cls.of([value / other for value, other in zip(values, base, strict=True)])
