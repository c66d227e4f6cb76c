"""Kept results are read back; other files are refused."""

from pathlib import Path

import pytest

from benchmarks.measure import Sample
from benchmarks.results import Machine, Outcome, Run, combined, load, save
from localechod.bench.quartiles import Quartiles

MACHINE = Machine("a processor", 2, "6.1", "CPython 3.11.2", 0.25)


def outcome(scenario: str = "one", ours: float = 50.0) -> Outcome:
    return Outcome(
        scenario,
        "C epoll",
        {
            "C epoll": [Sample(100.0, 2.0), Sample(200.0, 4.0)],
            "localechod": [Sample(ours, 3.0), Sample(2 * ours, 5.0)],
            "socat PIPE": [Sample(10.0, None), Sample(10.0, None)],
        },
    )


def test_kept_results_are_read_back(tmp_path: Path) -> None:
    run = Run(MACHINE, 2, 0.5, [outcome(), outcome("two")])
    save(tmp_path / "run.json", run)
    assert load(tmp_path / "run.json", Run) == run


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ('{"machine": 1}', "at `$.machine`"),
    ],
)
def test_another_file_is_an_error_of_one_line(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(SystemExit, match="does not hold results of this benchmark") as refused:
        load(tmp_path / "run.json", Run)
    assert reason in str(refused.value)


def test_a_missing_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"open failed: No such file or directory \(2\): .*/none"):
        load(tmp_path / "none", Run)


def test_rates_are_compared_round_by_round() -> None:
    assert outcome().ratio("localechod") == Quartiles(0.5, 0.5, 0.5)
    assert outcome().ratio("localechod", "socat PIPE") == Quartiles(6.25, 7.5, 8.75)
    assert outcome().rate("C epoll").median == 150.0


def test_an_unknown_cost_is_none() -> None:
    assert outcome().cost("socat PIPE") is None
    assert outcome().cost("localechod") == Quartiles(3.5, 4.0, 4.5)


def test_of_two_runs_the_later_prevails_and_the_order_is_kept() -> None:
    first = Run(MACHINE, 2, 0.5, [outcome("a"), outcome("b")])
    later = Run(MACHINE, 9, 1.0, [outcome("c"), outcome("a", 80.0)])
    both = combined([first, later])
    assert [each.scenario for each in both.outcomes] == ["a", "b", "c"]
    assert both.outcomes[0].ratio("localechod").median == 0.8
    assert both.repeats == 9


def test_a_run_describes_its_machine_and_load() -> None:
    assert str(Run(MACHINE, 9, 0.5, [])) == (
        "9 rounds of 0.5 s; a processor, 2 processors, Linux 6.1, CPython 3.11.2, "
        "load average 0.25 before"
    )
    assert Machine.here().processors >= 1
