"""Start and exit of localechoctl: closed streams, and errors at the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localechod import __version__

ROOT = Path(__file__).parents[2]
CTL = f"exec {sys.executable} -m localechod.ctl"


def shell(line: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a line of sh, from where the package is found."""
    return subprocess.run(
        ["/bin/sh", "-c", line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80"},
    )


@pytest.mark.parametrize("words", ["--version", "version", "config default", "send --help"])
def test_lost_results_are_a_failure_in_one_line(words: str) -> None:
    done = shell(f"{CTL} {words} >&-")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"failed: Bad file descriptor (9)\n"


def test_without_standard_error_the_exit_status_is_the_same() -> None:
    done = shell(f"{CTL} nope 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


def test_without_standard_error_results_are_printed() -> None:
    done = shell(f"{CTL} --version 2>&-")
    assert (done.returncode, done.stdout) == (0, f"localechoctl {__version__}\n".encode())


def test_without_standard_input_there_are_no_messages(sockdir: Path) -> None:
    done = shell(f"{CTL} send {sockdir}/none <&-")
    assert done.returncode == 7
    assert done.stderr.startswith(b"connect failed: No such file or directory (2): ")


def test_without_any_stream_nothing_is_broken() -> None:
    assert shell(f"{CTL} version <&- >&- 2>&-").returncode == 1


def test_garbage_of_a_command_that_goes_on_is_collected() -> None:
    script = (
        "import gc, sys\n"
        "from localechod.ctl import __main__, app\n"
        "app.run = lambda words: print(gc.isenabled(), 0 < gc.get_threshold()[0] < 10**6) or 0\n"
        "__main__.main()\n"
    )
    done = shell(f"exec {sys.executable} -c '{script}'")
    assert (done.returncode, done.stdout) == (0, b"True True\n")
