"""Latencies in a few kilobytes, however many there are: a log-linear (HDR) histogram.

Written here although `hdrhistogram` exists: 0.10.8 has no wheels but for x86-64, so that others
need a compiler; it brings pbr and setuptools, a megabyte and more, to every installation; and of
all it can do these lines are what is needed. The layout is the same: each power of two is divided
into equally wide slots, so that a slot's width is a fixed share of its values.
"""

from collections import Counter

_BITS = 7

RELATIVE_ERROR = 2.0**-_BITS
"""A percentile is never too low, and too high by less than this share of it: 0.8 percent."""


class Histogram:
    """Counts of whole numbers from 0 up; what is recorded is never forgotten, only rounded.

    Attributes:
        count: how many were recorded.
        largest: the largest of them, exactly; 0 where there is none.
    """

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0
        self._slots: Counter[int] = Counter()

    def record(self, value: int) -> None:
        """Count a value.

        Raises:
            ValueError: it is negative.
        """
        if value < 0:
            raise ValueError(f"a negative value: {value}")
        # Below 2 ** (_BITS + 1) every value has a slot of its own, and shift is 0.
        shift = max(0, value.bit_length() - _BITS - 1)
        self._slots[(shift << _BITS) + (value >> shift)] += 1
        self.count += 1
        self.largest = max(self.largest, value)

    def add(self, other: "Histogram") -> None:
        """Take in all that another one has counted."""
        self._slots.update(other._slots)  # noqa: SLF001 - one of its own kind
        self.count += other.count
        self.largest = max(self.largest, other.largest)

    def percentile(self, percent: float) -> int:
        """Return the value that so many percent of all do not exceed, rounded up to its slot's end.

        Args:
            percent: more than 0, at most 100.

        Raises:
            ValueError: nothing was recorded, or no such percentage.
        """
        if not self.count or not 0 < percent <= 100:
            raise ValueError(f"no percentile {percent:g} of {self.count} values")
        left = percent / 100 * self.count
        for slot in sorted(self._slots):
            left -= self._slots[slot]
            # Subtraction by floats: a millionth of a value is none that is missing.
            if left <= 1e-6:
                return min(_last(slot), self.largest)
        return self.largest


def _last(slot: int) -> int:
    """Return the largest value that a slot counts."""
    shift = max(0, (slot >> _BITS) - 1)
    return ((slot - (shift << _BITS) + 1) << shift) - 1
