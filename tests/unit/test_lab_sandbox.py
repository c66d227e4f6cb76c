"""A sandbox and its processes: transcripts, termination and cleanup."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localechod.lab import process
from localechod.lab.process import StalledError
from localechod.lab.programs import show
from localechod.lab.sandbox import Sandbox, call, pause, result


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def refuse() -> None:
    raise PermissionError(13, "Permission denied")


def test_calls_are_printed_as_by_strace(sandbox: Sandbox) -> None:
    def calls() -> None:
        call("bind()", lambda: None)
        call("write()", lambda: 3)
        call("read()", lambda: b"g1\n")
        call("read()", lambda: b"")
        call("connect()", refuse)

    assert sandbox.results(calls) == ["0", "3", r'3 "g1\n"', "0", "EACCES"]
    assert sandbox.transcript == [
        "bind() = 0",
        "write() = 3",
        r'read() = 3 "g1\n"',
        "read() = 0",
        "connect() = -1 EACCES (Permission denied)",
    ]


@pytest.mark.parametrize(
    ("line", "value"),
    [("connect() = -1 ENOENT (No such file or directory)", "ENOENT"), ('read() = 2 "a"', '2 "a"')],
)
def test_the_result_of_a_printed_call_is_read_back(line: str, value: str) -> None:
    assert result(line) == value


def test_the_transcript_abbreviates_the_directory(sandbox: Sandbox) -> None:
    (shown,) = sandbox.run("echo", sandbox.path("x.sock"))
    assert shown == f"{sandbox.directory}/x.sock"
    assert sandbox.transcript[1] == "$LAB/x.sock"


def test_the_directory_has_a_short_path(sandbox: Sandbox) -> None:
    assert len(sandbox.path("var-lib/unixstream.sock")) < 80


def test_the_transcript_has_input_and_output_in_order(sandbox: Sandbox) -> None:
    def reply() -> None:
        for _ in range(2):
            show(f"got {os.read(0, 10).decode().strip()}")

    child = sandbox.script(reply, "child")
    child.type("a")
    assert child.read_line() == "got a"
    child.type("b")
    assert child.wait() == "exit 0"
    assert sandbox.transcript == ["child:", "a", "got a", "b", "got b", "(exit 0)"]


def test_exit_statuses_and_signals_are_told_apart(sandbox: Sandbox) -> None:
    waiting = sandbox.script(pause)
    assert waiting.running
    waiting.interrupt()
    assert waiting.wait() == "SIGINT"
    killed = sandbox.script(pause)
    killed.kill()
    assert killed.wait() == "SIGKILL"
    assert sandbox.script(lambda: sys.exit(3)).wait() == "exit 3"


def test_a_signal_before_the_process_is_ready_is_not_lost(sandbox: Sandbox) -> None:
    for _ in range(20):
        child = sandbox.script(pause)
        child.interrupt()
        assert child.wait() == "SIGINT"


def test_an_exception_is_in_the_transcript(sandbox: Sandbox) -> None:
    child = sandbox.script(refuse)
    assert child.wait() == "exit 70"
    assert child.transcript == ["PermissionError(13, 'Permission denied')", "(exit 70)"]


def test_a_process_without_output_is_stalled(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "TIMEOUT", 0.05)
    child = sandbox.script(pause)
    with pytest.raises(StalledError, match="no further output"):
        child.read_line()


def test_a_process_inherits_no_other_descriptors(sandbox: Sandbox) -> None:
    sandbox.script(pause)
    child = sandbox.script(lambda: show(" ".join(sorted(os.listdir("/proc/self/fd")))))  # noqa: PTH208 - names, not paths
    assert child.read_line() == "0 1 2 3"  # 3 is the directory that is being listed


def test_no_processes_or_files_are_left(sandbox: Sandbox) -> None:
    with Sandbox() as other:
        child = other.script(pause)
        server = other.program("streamserver", "x.sock")
        server.read_line()
    assert not other.directory.exists()
    for each in (child, server):
        assert each.termination == "SIGKILL"
        assert not Path(f"/proc/{each.pid}").exists()


def test_only_its_owner_can_list_the_directory(sandbox: Sandbox) -> None:
    assert sandbox.directory.stat().st_mode & 0o777 == 0o711
