"""localechoctl wait: over restarts and against its timeout, without sleeping."""

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localechod.ctl import app
from localechod.echo.events import Event
from tests.integration.harness import needs_root
from tests.unit.control_fakes import NOBODY, SECONDS, ctl_as, live


@pytest.fixture
def path(sockdir: Path) -> Path:
    return sockdir / "control.sock"


def waiting(path: Path, *words: str) -> int:
    return app.run(["--control", str(path), "wait", *words])


def test_wait_returns_at_once_when_all_listen(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with live(path) as daemon:
        assert waiting(path) == 0
        assert waiting(path, "stream", "datagram") == 0
        daemon.do(daemon.supervisor.become, "stream", "stopped")
        assert waiting(path) == 0, "a stopped endpoint is not waited for"
        daemon.do(daemon.supervisor.become, "datagram", "degraded")
        assert waiting(path) == 0, "degraded still listens"
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@contextmanager
def in_background(action: Callable[[], int]) -> Iterator["queue.Queue[int]"]:
    outcome: queue.Queue[int] = queue.Queue()
    thread = threading.Thread(target=lambda: outcome.put(action()))
    thread.start()
    yield outcome
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_wait_returns_when_the_last_one_listens(path: Path) -> None:
    with live(path) as daemon:
        daemon.do(daemon.supervisor.become, "stream", "failed")
        daemon.do(daemon.supervisor.become, "datagram", "starting")
        with in_background(lambda: waiting(path, "--timeout", str(SECONDS))) as outcome:
            daemon.do(daemon.supervisor.events.publish, Event("error", "stream", "no matter"))
            daemon.do(daemon.supervisor.become, "datagram", "listening")
            daemon.do(daemon.supervisor.become, "stream", "listening")
            assert outcome.get(timeout=SECONDS) == 0


def test_wait_waits_for_a_daemon_that_is_not_there_yet(path: Path) -> None:
    with (
        in_background(lambda: waiting(path, "stream", "--timeout", str(SECONDS))) as outcome,
        live(path),
    ):
        assert outcome.get(timeout=SECONDS) == 0


def test_wait_continues_over_a_restart_of_the_daemon(path: Path) -> None:
    with in_background(lambda: waiting(path, "stream", "--timeout", str(SECONDS))) as outcome:
        with live(path, initially="failed") as daemon:
            assert daemon.supervisor.asked.wait(SECONDS)
        assert outcome.empty()
        with live(path):
            assert outcome.get(timeout=SECONDS) == 0


def test_a_timeout_names_the_endpoints_that_do_not_listen_and_their_state(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Long enough for an answer on a busy machine.
    with live(path) as daemon:
        daemon.do(daemon.supervisor.become, "stream", "failed")
        daemon.do(daemon.supervisor.become, "datagram", "stopped")
        assert waiting(path, "--timeout", "1") == 1
        assert waiting(path, "stream", "--timeout", "1") == 1
        daemon.supervisor.rows = {}
        assert waiting(path, "--timeout", "1") == 1
    assert capsys.readouterr().err.splitlines() == [
        "wait timed out after 1 s: stream is failed, datagram is stopped",
        "wait timed out after 1 s: stream is failed",
        "wait timed out after 1 s: no endpoints are configured",
    ]


def test_a_timeout_without_a_daemon_says_that_it_is_not_running(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert waiting(path, "--timeout", "0.2") == 1
    err = capsys.readouterr().err
    assert err.startswith("wait timed out after 0.2 s: localechod is not running: connect failed: ")
    assert err.count("\n") == 1


def test_an_unknown_name_is_not_waited_for(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with live(path):
        assert waiting(path, "x") == 2
    assert capsys.readouterr().err == 'there is no endpoint "x"; there are: stream\n'


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_a_timeout_must_be_positive(
    path: Path, capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    assert waiting(path, "--timeout", seconds) == 2
    assert "Traceback" not in capsys.readouterr().err


@needs_root
def test_a_socket_without_permission_is_not_waited_for(path: Path) -> None:
    with live(path):
        path.chmod(0o600)
        done = ctl_as(NOBODY, path, "wait", "--timeout", str(SECONDS / 2))
    assert done.returncode == 4
    assert done.stderr.startswith(f"connect failed: Permission denied (13): {path}")


def test_a_socket_of_another_kind_is_not_waited_for(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
        datagram.bind(str(path))
        assert waiting(path, "--timeout", str(SECONDS)) == 1
    assert "Protocol wrong type" in capsys.readouterr().err
