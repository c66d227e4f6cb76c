"""The table of the benchmark fairness."""

from pathlib import Path

import pytest

from benchmarks.fairness import Daemon, Fairness, Latency, arguments, as_markdown
from benchmarks.results import Machine, load, save
from benchmarks.scenarios import BEFORE, OURS
from benchmarks.servers import ROOT

MACHINE = Machine("a processor", 2, "6.1", "CPython 3.11.2", 0.0)
DAEMON = Daemon(
    [Latency(20.0, 40.0), Latency(40.0, 80.0)],
    [Latency(50.0, 400.0), Latency(80.0, 400.0)],
    [400_000.0, 300_000.0],
)
FAIRNESS = Fairness(MACHINE, 2, 0.5, {OURS: DAEMON, BEFORE: DAEMON})


def test_a_latency_beside_the_flood_is_relative_to_that_of_the_same_round() -> None:
    rows = [line.strip("| ").split(" | ") for line in as_markdown(FAIRNESS).splitlines()[2:6]]
    assert rows[0] == [
        OURS, "median", "30.0 (25.0 - 35.0)", "65.0 (57.5 - 72.5)", "2.25 (2.12 - 2.38)"
    ]  # fmt: skip
    assert rows[1] == [
        OURS, "99th percentile", "60.0 (50.0 - 70.0)", "400.0 (400.0 - 400.0)", "7.50 (6.25 - 8.75)"
    ]  # fmt: skip
    assert [row[0] for row in rows[2:]] == [BEFORE, BEFORE]


def test_the_rate_of_the_flood_is_given() -> None:
    lines = as_markdown(FAIRNESS).splitlines()
    rates = "localechod 350,000, localechod before 350,000"
    assert lines[-3] == f"Messages per second of the flood: {rates}."
    assert lines[-1] == f"2 rounds of 0.5 s; {MACHINE}."


def test_kept_results_are_read_back(tmp_path: Path) -> None:
    save(tmp_path / "fairness.json", FAIRNESS)
    assert load(tmp_path / "fairness.json", Fairness) == FAIRNESS


@pytest.mark.parametrize("option", ["--against", "--checkout"])
def test_another_checkout_can_be_measured(option: str) -> None:
    assert arguments([]).against is None
    assert arguments([option, str(ROOT)]).against == ROOT
