"""Numbers with three significant digits and suitable units; an axis in whole decades."""

import pytest

from localechod.bench.figures import Axis, duration, percentiles, rounded
from localechod.bench.histogram import Histogram


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (1, "1.00"),
        (12.34, "12.3"),
        (99.96, "100.0"),
        (123.4, "123"),
        (1234567, "1,234,567"),
    ],
)
def test_a_number_has_three_significant_digits(value: float, text: str) -> None:
    assert rounded(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1 ns"), (1e3, "1 us"), (12345, "12.3 us"), (1e8, "100 ms"), (2.5e9, "2.50 s")],
)
def test_a_duration_has_a_suitable_unit(value: float, text: str) -> None:
    assert duration(value) == text


def test_an_axis_covers_its_values_in_whole_decades() -> None:
    axis = Axis([20, 3000])
    assert axis.decades() == [10, 100, 1000, 10_000]
    assert [axis.position(value) for value in (10, 10_000)] == [0, 1]
    assert Axis([100]).decades() == [100, 1000]


def test_the_maximum_follows_the_percentiles() -> None:
    histogram = Histogram()
    for value in range(1, 101):
        histogram.record(value)
    assert percentiles(histogram) == [50, 90, 99, 100, 100]
