"""The benchmark of `explain`: its table, and the cost of a command."""

import os
import sys

import pytest

from benchmarks import explain, peak
from benchmarks.explain import BASELINE, Lookups
from benchmarks.peak import Cost
from benchmarks.results import Machine
from tests.unit import ptrace

MACHINE = Machine("a processor", 2, "6.1", "CPython 3.11.2", 0.0)
LOOKUPS = Lookups(
    MACHINE,
    500,
    5200,
    {
        BASELINE: [Cost(0.1, 0.1, 2048), Cost(0.2, 0.2, 4096)],
        "localechoctl explain PATH": [Cost(0.3, 0.2, 20480), Cost(0.5, 0.2, 10240)],
    },
)


def test_processor_time_is_relative_to_ss_in_each_round() -> None:
    lines = explain.as_text(LOOKUPS).splitlines()
    assert lines[2] == "| `ss -xp` | 150 (125 - 175) | 150 (125 - 175) |  | 4 |"
    ours = "| `localechoctl explain PATH` | 400 (350 - 450) | 200 (200 - 200) | 1.50 (1.25 - 1.75)"
    assert lines[3] == f"{ours} | 20 |"
    assert "5,200 sockets in 500 processes; 2 rounds" in explain.blocks(LOOKUPS)["explain"]


def test_without_ss_there_are_no_ratios() -> None:
    programs = {"localechoctl explain PATH": LOOKUPS.programs["localechoctl explain PATH"]}
    table = explain.as_text(Lookups(MACHINE, 500, 5200, programs))
    assert "| 200 (200 - 200) |  | 20 |" in table


def test_the_command_line_has_defaults() -> None:
    assert (explain.arguments([]).rounds, explain.arguments([]).processes) == (20, 500)


@pytest.mark.skipif(not ptrace.is_permitted(), reason="tracing is not permitted here")
def test_the_peak_is_the_commands_own_also_where_it_is_less_than_ours() -> None:
    large = bytearray(os.urandom(1) * (64 << 20))
    small = peak.run(["true"])
    assert small.memory < 16 << 10
    code = "import os; x = bytes(range(256)) * (32 << 12); os.kill(os.getpid(), 15)"
    ended = peak.run([sys.executable, "-S", "-c", code])
    assert 32 << 10 < ended.memory < len(large) >> 10
    assert 0 < ended.processor <= ended.wall_clock * 2
