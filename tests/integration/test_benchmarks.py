"""The benchmarks run; no test asserts a speed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.harness import needs_root

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the servers")
@pytest.mark.parametrize("scenario", ["seqpacket", "datagram, 1 client", "16 at a time"])
def test_a_scenario_has_a_row_for_the_baseline_and_one_for_localechod(scenario: str) -> None:
    command = [sys.executable, "-m", "benchmarks", "--repeats", "1", "--seconds", "0.05", scenario]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    names = [line[2:32].strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert "localechod" in names
    assert any(name.startswith("C ") for name in names)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the servers")
@pytest.mark.parametrize(
    ("args", "shown"),
    [
        pytest.param(
            ["growth", "--repeats", "1", "--seconds", "0.02"],
            "An endpoint without traffic costs",
            marks=needs_root,  # for the memory of a daemon that is not dumpable
        ),
        pytest.param(["ready", "--runs", "1"], "| `localechod` | ", marks=needs_root),
        (["idle", "--seconds", "0.1"], "| 30 s | 1,000 | "),
    ],
    ids=["growth", "ready", "idle"],
)
def test_results_are_kept_and_printed_again(args: list[str], shown: str, tmp_path: Path) -> None:
    if args[0] != "growth":
        pytest.importorskip("systemd.daemon", reason="the daemon cannot notify its manager")
    file = str(tmp_path / "kept.json")
    module, *rest = args
    for arguments in ([*rest, "--json", file], ["--from", file]):
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        done = subprocess.run(
            command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        assert shown in done.stdout


def test_an_unknown_scenario_is_an_error_of_one_line() -> None:
    command = [sys.executable, "-m", "benchmarks", "no such thing"]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no such scenario; there are: raw stream")
    assert len(done.stderr.splitlines()) == 1
