"""The benchmarks still run; how fast anything is is not asserted anywhere."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the yardsticks")
@pytest.mark.parametrize("scenario", ["seqpacket", "datagram, 1 client", "16 at a time"])
def test_a_scenario_has_a_row_for_the_yardstick_and_for_us(scenario: str) -> None:
    command = [sys.executable, "-m", "benchmarks", "--repeats", "1", "--seconds", "0.05", scenario]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    names = [line[2:32].strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert "localechod" in names
    assert any(name.startswith("C ") for name in names)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the yardsticks")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["growth", "--repeats", "1", "--seconds", "0.02"], "An endpoint without traffic costs"),
        (["ready", "--runs", "1"], "| `localechod` | "),
        (["idle", "--seconds", "0.1"], "| 30 s | 1,000 | "),
    ],
    ids=["growth", "ready", "idle"],
)
def test_figures_are_kept_and_told_again(words: list[str], told: str, tmp_path: Path) -> None:
    if words[0] != "growth":
        pytest.importorskip("systemd.daemon", reason="the daemon cannot say that it is ready")
    file = str(tmp_path / "kept.json")
    module, *rest = words
    for arguments in ([*rest, "--json", file], ["--from", file]):
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
        done = subprocess.run(
            command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr
        assert told in done.stdout


def test_an_unknown_scenario_is_told_in_a_line() -> None:
    command = [sys.executable, "-m", "benchmarks", "no such thing"]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no such scenario; there are: raw stream")
    assert len(done.stderr.splitlines()) == 1
