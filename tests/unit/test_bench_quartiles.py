"""Medians, quartiles, and ratios of adjacent measurements."""

from localechod.bench.quartiles import Quartiles


def test_one_disturbed_measurement_hardly_moves_the_median_and_the_quartiles() -> None:
    assert Quartiles.of([100, 101, 99, 100, 3]) == Quartiles(99, 100, 100)


def test_the_quartiles_of_one_value_are_that_value() -> None:
    assert Quartiles.of([7.5]) == Quartiles(7.5, 7.5, 7.5)


def test_quartiles_are_interpolated() -> None:
    assert Quartiles.of([1, 2]) == Quartiles(1.25, 1.5, 1.75)


def test_ratios_of_adjacent_measurements_cancel_a_drift() -> None:
    drifting = [10.0, 20.0, 40.0]
    assert Quartiles.of_ratios([each / 2 for each in drifting], drifting) == Quartiles(
        0.5, 0.5, 0.5
    )


def test_the_text_has_the_median_before_the_quartiles() -> None:
    assert Quartiles(0.004, 0.0051, 0.0062).text(digits=1, scale=1e3) == "5.1 (4.0 - 6.2)"
