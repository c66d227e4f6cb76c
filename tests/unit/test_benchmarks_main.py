"""The command line of the benchmarks, and which scenarios there are."""

import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import arguments, show
from benchmarks.measure import Sample
from benchmarks.results import Outcome
from benchmarks.scenarios import BEFORE, OURS, SCENARIOS
from benchmarks.servers import (
    COMMANDS,
    EXCHANGES,
    PARSING,
    PURE,
    REFERENCE,
    ROOT,
    daemon_command,
)


def test_by_default_all_scenarios_are_measured() -> None:
    assert arguments([]).scenarios == list(SCENARIOS)


def test_a_part_of_a_name_is_enough() -> None:
    names = [each.name for each in arguments(["seqpacket", "1 client"]).scenarios]
    assert names == ["seqpacket, 32 x 64 B", "datagram, 1 client"]


@pytest.mark.parametrize(
    "args",
    [
        ["--from", "a.json", "seqpacket"],
        ["--from", "a.json", "--json", "b.json"],
        ["--write", "none"],
        ["--write", str(ROOT / "docs"), "seqpacket"],
        ["--repeats", "many"],
        ["--against", "none"],
        ["--from", "a.json", "--against", str(ROOT)],
    ],
)
def test_wrong_command_lines_are_refused(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        arguments(args)
    assert refused.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("./dev bench: error: ")


def test_several_kept_runs_can_be_combined(tmp_path: Path) -> None:
    (tmp_path / "performance.md").touch()
    options = arguments(["--from", "a.json", "--from", "b.json", "--write", str(tmp_path)])
    assert [file.name for file in options.kept] == ["a.json", "b.json"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a directory with what makes it a checkout."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").touch()
    return tmp_path


def test_another_checkout_is_measured_with_the_same_settings(checkout: Path) -> None:
    selected = arguments(["--against", str(checkout), "seqpacket", "a core for each"]).scenarios
    names = [[*scenario.ours] for scenario in selected]
    assert names[0] == [OURS, PURE, BEFORE]
    assert names[1][2:] == [f"{BEFORE}, busy_poll_us = {each}" for each in (0, 50)]
    for scenario in selected:
        for name, settings in scenario.ours.items():
            assert settings.checkout == (checkout if name.startswith(BEFORE) else ROOT)
    assert selected[1].ours[names[1][3]].service == "busy_poll_us = 50"


def test_the_daemon_of_a_checkout_runs_in_its_own_environment(checkout: Path) -> None:
    own = ["-c", "c.toml", "--runtime-dir", "run"]
    assert daemon_command(ROOT, Path("c.toml"), Path("run")) == [
        sys.executable, "-m", "localechod.daemon", *own
    ]  # fmt: skip
    other = [str(checkout / ".venv/bin/python"), "-m", "localechod"]
    assert daemon_command(checkout, Path("c.toml"), Path("run")) == [*other, *own]


def test_a_row_compares_with_the_other_checkout(capsys: pytest.CaptureFixture[str]) -> None:
    rates = {"C epoll": 100.0, OURS: 80.0, BEFORE: 64.0}
    show(Outcome("one", "C epoll", {name: [Sample(rate, 1.0)] for name, rate in rates.items()}))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "  localechod, relative to before: 1.25 (1.25 - 1.25)"


def test_every_server_of_a_scenario_can_be_started() -> None:
    names = {
        name
        for scenario in SCENARIOS
        for name in (scenario.baseline, *scenario.others, *scenario.ours)
    }
    assert {name for name in names if not name.startswith(OURS)} <= set(COMMANDS)
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_servers_that_parse_are_compared_where_messages_have_64_bytes() -> None:
    assert {*PARSING} == EXCHANGES.keys()
    for scenario in SCENARIOS:
        if {*PARSING} & {*scenario.others}:
            assert scenario.program == "visit" or scenario.arguments[1:] == (64, 1)
    for _, reply in EXCHANGES.values():
        assert "x" * 64 in reply
        assert "x" * 65 not in reply
    assert f'return 200 "{"x" * 64}";' in (REFERENCE / "nginx.conf").read_text()


def test_polling_is_measured_on_two_cores_and_on_one() -> None:
    polling = [scenario for scenario in SCENARIOS if "polling" in scenario.name]
    assert [scenario.shared for scenario in polling] == [False, True]
    for scenario in polling:
        lines = [settings.service for settings in scenario.ours.values()]
        assert lines == ["busy_poll_us = 0", "busy_poll_us = 50"]
