"""Medians, quartiles, and ratios of neighbours."""

from localechod.bench.quartiles import Spread


def test_one_disturbed_repeat_moves_neither_median_nor_quartiles_far() -> None:
    assert Spread.of([100, 101, 99, 100, 3]) == Spread(99, 100, 100)


def test_a_single_repeat_has_no_spread() -> None:
    assert Spread.of([7.5]) == Spread(7.5, 7.5, 7.5)


def test_quartiles_lie_between_the_values() -> None:
    assert Spread.of([1, 2]) == Spread(1.25, 1.5, 1.75)


def test_ratios_are_those_of_neighbours_so_that_a_drift_cancels() -> None:
    drifting = [10.0, 20.0, 40.0]
    assert Spread.of_ratios([each / 2 for each in drifting], drifting) == Spread(0.5, 0.5, 0.5)
