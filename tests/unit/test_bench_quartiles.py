"""Medians, quartiles, and ratios of neighbours."""

from localechod.bench.quartiles import Quartiles


def test_one_disturbed_repeat_moves_neither_median_nor_quartiles_far() -> None:
    assert Quartiles.of([100, 101, 99, 100, 3]) == Quartiles(99, 100, 100)


def test_a_single_repeat_has_no_spread() -> None:
    assert Quartiles.of([7.5]) == Quartiles(7.5, 7.5, 7.5)


def test_quartiles_lie_between_the_values() -> None:
    assert Quartiles.of([1, 2]) == Quartiles(1.25, 1.5, 1.75)


def test_ratios_are_those_of_neighbours_so_that_a_drift_cancels() -> None:
    drifting = [10.0, 20.0, 40.0]
    assert Quartiles.of_ratios([each / 2 for each in drifting], drifting) == Quartiles(
        0.5, 0.5, 0.5
    )
