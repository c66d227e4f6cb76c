"""A file system that never answers, of an ordinary user, and root's commands."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attacks.mallory import FIRST_UID
from tests.integration.harness import CHECKOUT, DEADLINE, needs_root


@contextmanager
def silent_files(name: Path) -> Iterator[int]:
    """Have an ordinary user listen under this name, on files that never answer; yield the pid."""
    command = [sys.executable, "-m", "tests.integration.silent_files", str(FIRST_UID), str(name)]
    with subprocess.Popen(
        command,
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdout.readline() != b"mounted\n":
            error = process.stderr.read().decode().splitlines()[-1]
            pytest.skip(f"an ordinary user cannot mount an overlay over FUSE here: {error}")
        yield process.pid


@needs_root
@pytest.mark.parametrize("by", ["name", "pid"])
def test_explain_gives_up_a_file_system_that_does_not_answer(sockdir: Path, by: str) -> None:
    # The user's listener has a name that does not exist for root, who asks why.
    name = sockdir / "app.sock"
    with silent_files(name) as pid:
        more = [] if by == "name" else ["--pid", str(pid)]
        done = subprocess.run(
            [sys.executable, "-m", "localechod.ctl", "explain", str(name), *more],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    assert "explain failed: a file system has not answered in 10 s; " in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    assert done.returncode == 5


@needs_root
@pytest.mark.parametrize(
    "command",
    [["sockets"], ["sockets", "--map", "map.svg"], ["peers", "--pid", "USER"], ["top", "--once"]],
)
def test_other_commands_do_not_look_at_it(sockdir: Path, command: list[str]) -> None:
    name = sockdir / "app.sock"
    with silent_files(name) as pid:
        arguments = [str(pid) if each == "USER" else each for each in command]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "localechod.ctl", *arguments],
            cwd=sockdir,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
