"""The plot for terminals: never wider than the terminal, in the order of the percentiles."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.bench.plot import plot

ROWS = st.dictionaries(
    st.text("abc", min_size=1, max_size=10),
    st.lists(st.integers(0, 10**11), min_size=5, max_size=5).map(sorted),
    min_size=1,
    max_size=6,
)


@given(ROWS, st.sampled_from([60, 80, 120]))
def test_no_line_is_wider_than_the_terminal(rows: dict[str, list[int]], width: int) -> None:
    lines = plot(rows, width)
    assert max(map(len, lines)) <= width
    assert len(lines) == len(rows) + 2
    assert all(line.isascii() for line in lines)


def test_each_range_has_its_character_and_so_has_the_maximum() -> None:
    (line,) = plot({"x": [1_000, 10_000, 100_000, 1_000_000, 9_000_000]}, 80)[2:]
    marks = [line.index(mark) for mark in "=-.*"]
    assert all(before < after for before, after in pairwise(marks))
    assert line.endswith("*")


@pytest.mark.parametrize("value", [0, 1, 5_000])
def test_equal_values_are_one_character(value: int) -> None:
    assert plot({"x": [value] * 5}, 80)[2].split() == ["x", "*"]
