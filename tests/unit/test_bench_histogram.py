"""A percentile is never too low, and too high by no more than the stated error."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.bench.histogram import RELATIVE_ERROR, Histogram

VALUES = st.lists(st.integers(0, 10**13), min_size=1, max_size=200)
PERCENTS = st.floats(0.1, 100)


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(VALUES, PERCENTS)
def test_a_percentile_is_right_within_the_stated_error(values: list[int], percent: float) -> None:
    exact = sorted(values)[max(1, math.ceil(percent / 100 * len(values) - 1e-6)) - 1]
    found = filled(values).percentile(percent)
    assert exact <= found <= exact * (1 + RELATIVE_ERROR)


@given(VALUES, VALUES, PERCENTS)
def test_a_merged_histogram_equals_one_of_all_values(
    first: list[int], second: list[int], percent: float
) -> None:
    merged = filled(first)
    merged.add(filled(second))
    assert merged.count == len(first) + len(second)
    assert merged.largest == max(first + second)
    assert merged.percentile(percent) == filled(first + second).percentile(percent)


@given(VALUES)
def test_the_maximum_is_exact(values: list[int]) -> None:
    histogram = filled(values)
    assert histogram.largest == histogram.percentile(100) == max(values)


def test_small_values_are_exact() -> None:
    assert filled(list(range(200))).percentile(50) == 99


def test_its_memory_does_not_grow_with_the_count() -> None:
    histogram = filled([value * 1000 for value in range(100_000)])
    assert len(histogram._buckets) < 4000


def test_impossible_values_and_percentages_are_refused() -> None:
    with pytest.raises(ValueError, match="a negative value"):
        Histogram().record(-1)
    with pytest.raises(ValueError, match="of 0 values"):
        Histogram().percentile(50)
    with pytest.raises(ValueError, match="no percentile 0"):
        filled([1]).percentile(0)
