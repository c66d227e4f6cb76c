"""localechoctl events: past events, new events, and events over a restart."""

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localechod.control.messages import ReceivedEvent
from localechod.ctl import app
from localechod.ctl.commands.events import _show_text
from localechod.echo.events import Event
from tests.unit.control_fakes import SECONDS, live

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(sockdir: Path) -> Path:
    return sockdir / "control.sock"


class Following:
    """`localechoctl events --follow` in a process of its own, read line by line with a deadline."""

    def __init__(self, path: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "localechod.ctl", "--control", str(path)),
                *("events", "--follow", *words),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.out, self.err = self._lines(self.process.stdout), self._lines(self.process.stderr)

    @staticmethod
    def _lines(stream: object) -> "queue.Queue[str]":
        lines: queue.Queue[str] = queue.Queue()

        def read() -> None:
            for line in stream:  # type: ignore[attr-defined]
                lines.put(line.rstrip("\n"))

        threading.Thread(target=read, daemon=True).start()
        return lines

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(SECONDS)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        return code


@contextmanager
def following(path: Path, *words: str) -> Iterator[Following]:
    found = Following(path, *words)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.end()


def test_past_events_are_printed_and_then_it_ends(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with live(path) as daemon:
        daemon.do(daemon.supervisor.become, "stream", "stopped")
        refused = Event("refused", "", "a call was refused", uid=0, pid=7, time=0.0)
        daemon.do(daemon.supervisor.events.publish, refused)
        assert app.run(["--control", str(path), "events"]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert first.endswith("  state     stream  stream is stopped")
        assert second.endswith("  refused   -  a call was refused")
        assert second.startswith(("1970-01-01 ", "1969-12-31 "))
        assert app.run(["--control", str(path), "events", "--json"]) == 0
        first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first)["state"] == "stopped"
    assert json.loads(second) == {
        "kind": "refused",
        "endpoint": "",
        "text": "a call was refused",
        "state": "",
        "uid": 0,
        "pid": 7,
        "time": 0.0,
        "dropped": 0,
    }


def test_without_a_daemon_there_is_nothing_to_follow(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["--control", str(path), "events"]) == 3
    assert app.run(["--control", str(path), "events", "--follow"]) == 3
    assert capsys.readouterr().err.count("localechod is not running: ") == 2


def test_following_continues_after_a_restart_and_repeats_nothing(path: Path) -> None:
    with live(path) as daemon:
        daemon.do(daemon.supervisor.become, "stream", "stopped")
        with following(path, "--json") as process:

            def next_text() -> str:
                return str(json.loads(process.out.get(timeout=SECONDS))["text"])

            assert next_text() == "stream is stopped"
            daemon.do(daemon.supervisor.become, "stream", "listening")
            assert next_text() == "stream is listening"
            daemon.stop()
            lost = process.err.get(timeout=SECONDS)
            assert lost == "connection lost, waiting for localechod"
            with live(path) as successor:
                successor.do(successor.supervisor.become, "datagram", "failed")
                assert next_text() == "datagram is failed"
            assert process.err.get(timeout=SECONDS) == lost
            assert process.end() == 130
            assert process.out.empty()
            assert process.err.empty()


def test_a_connection_that_is_lost_without_a_restart_repeats_nothing(path: Path) -> None:
    with live(path) as daemon, following(path, "--json") as process:
        for state in ("stopped", "listening"):
            daemon.do(daemon.supervisor.become, "stream", state)
            assert json.loads(process.out.get(timeout=SECONDS))["state"] == state
        daemon.do(daemon.abort_connections)
        assert process.err.get(timeout=SECONDS).startswith("connection lost")
        daemon.do(daemon.supervisor.become, "stream", "failed")
        assert json.loads(process.out.get(timeout=SECONDS))["state"] == "failed"


def test_events_that_were_lost_are_counted_where_they_are_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _show_text(ReceivedEvent(Event("state", "stream", "text"), dropped=12))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "(12 events were dropped here: they came too fast)"
    assert second.endswith("text")
