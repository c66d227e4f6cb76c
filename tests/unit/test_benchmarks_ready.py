"""The tables of the benchmarks ready and idle."""

from pathlib import Path

from benchmarks import idle, ready
from benchmarks.idle import Idle, IdleDaemon
from benchmarks.ready import BARE, MEMORY, OURS, Program, Starts
from benchmarks.results import Machine, load, save

MACHINE = Machine("a processor", 2, "6.1", "CPython 3.11.2", 0.0)
STARTS = Starts(
    MACHINE,
    2,
    {
        BARE: Program([0.05, 0.07], [0.05, 0.05]),
        OURS: Program(
            [0.1, 0.2],
            [0.1, 0.148],
            {kind: [1024.0 * place, 3072.0 * place] for place, kind in enumerate(MEMORY)},
            {kind: [0.5, 1.0] for kind in MEMORY},
        ),
    },
)
IDLE = Idle(MACHINE, 60.0, [IdleDaemon(False, 0, 0.0, 0), IdleDaemon(True, 1000, 1.234, 4)])


def test_times_are_relative_to_the_bare_imports() -> None:
    lines = ready.times(STARTS).splitlines()
    assert lines[2] == f"| `{BARE}` | 60 (55 - 65) | 50 (50 - 50) |  |"
    assert lines[3] == "| `localechod` | 150 (125 - 175) | 124 (112 - 136) | 2.48 (2.24 - 2.72) |"


def test_the_memory_is_only_the_daemons() -> None:
    lines = ready.sizes(STARTS).splitlines()
    assert lines[2:] == [
        "| localechod | Rss | 0.0 | 0.75 |",
        "| localechod | Pss | 2.0 | 0.75 |",
        "| localechod | Anonymous | 4.0 | 0.75 |",
    ]


def test_processor_time_at_rest_has_two_decimal_places() -> None:
    lines = idle.as_markdown(IDLE).splitlines()
    assert lines[2:4] == ["| none | 0 | 0.00 | 0 |", "| 30 s | 1,000 | 1.23 | 4 |"]
    assert str(IDLE) == f"60 seconds; {MACHINE}"


def test_kept_results_are_read_back(tmp_path: Path) -> None:
    save(tmp_path / "starts.json", STARTS)
    save(tmp_path / "idle.json", IDLE)
    assert load(tmp_path / "starts.json", Starts) == STARTS
    assert load(tmp_path / "idle.json", Idle) == IDLE


def test_command_lines_have_defaults() -> None:
    assert ready.arguments([]).runs == 20
    assert idle.arguments([]).seconds == 60.0
