"""A log-linear (HDR) histogram: any number of latencies in a few kilobytes.

Not the package `hdrhistogram`: 0.10.8 has wheels for x86-64 only, so other machines need a
compiler; it adds pbr and setuptools, more than a megabyte, to every installation; and this program
uses little of it. The layout is the same: each power of two is divided into equally wide buckets,
so that a bucket's width is a fixed share of its values.
"""

from collections import Counter

_BITS = 7

RELATIVE_ERROR = 2.0**-_BITS
"""A percentile is never too low, and too high by less than this share of it: 0.8 percent."""


class Histogram:
    """Counts of integers from 0 up, rounded to their buckets.

    Attributes:
        count: how many values were recorded.
        largest: the largest of them, exactly; 0 without any.
    """

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0
        self._buckets: Counter[int] = Counter()

    def record(self, value: int) -> None:
        """Count a value.

        Raises:
            ValueError: the value is negative.
        """
        if value < 0:
            raise ValueError(f"a negative value: {value}")
        # Below 2 ** (_BITS + 1) every value has a bucket of its own, and shift is 0.
        shift = max(0, value.bit_length() - _BITS - 1)
        self._buckets[(shift << _BITS) + (value >> shift)] += 1
        self.count += 1
        self.largest = max(self.largest, value)

    def add(self, other: "Histogram") -> None:
        """Add all that another histogram has counted."""
        self._buckets.update(other._buckets)  # noqa: SLF001 - an instance of the same class
        self.count += other.count
        self.largest = max(self.largest, other.largest)

    def percentile(self, percent: float) -> int:
        """Return the value that `percent` of all values do not exceed, rounded up to its bucket.

        Args:
            percent: more than 0, at most 100.

        Raises:
            ValueError: the histogram is empty, or there is no such percentage.
        """
        if not self.count or not 0 < percent <= 100:
            raise ValueError(f"no percentile {percent:g} of {self.count} values")
        left = percent / 100 * self.count
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            # Floats do not subtract exactly: less than a millionth of a value is nothing.
            if left <= 1e-6:
                return min(_last(bucket), self.largest)
        return self.largest


def _last(bucket: int) -> int:
    """Return the largest value that a bucket counts."""
    shift = max(0, (bucket >> _BITS) - 1)
    return ((bucket - (shift << _BITS) + 1) << shift) - 1
