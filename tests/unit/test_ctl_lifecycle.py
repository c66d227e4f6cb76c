"""start, stop and restart: their calls, their output, and the effect of one failure."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localechod.control import client
from localechod.control.call import unary
from localechod.ctl import app
from localechod.errors import LocalechodError, SocketError
from localechod.localsocket.address import Address
from tests.unit.control_fakes import Live, live

Run = Callable[..., int]


@pytest.fixture
def daemon(sockdir: Path) -> Iterator[Live]:
    with live(sockdir / "control.sock") as running:
        yield running


@pytest.fixture
def ctl(daemon: Live) -> Run:
    return lambda *words: app.run(["--control", str(daemon.path), *words])


@pytest.mark.parametrize(
    ("command", "state"), [("start", "listening"), ("stop", "stopped"), ("restart", "listening")]
)
def test_endpoints_are_changed_in_turn_and_their_state_is_printed(
    daemon: Live, ctl: Run, capsys: pytest.CaptureFixture[str], command: str, state: str
) -> None:
    assert ctl(command, "datagram", "stream", "datagram") == 0
    assert capsys.readouterr().out == f"datagram: {state}\nstream: {state}\n"
    assert daemon.supervisor.calls == [(command, "datagram"), (command, "stream")]


def test_json_has_name_and_state(ctl: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl("stop", "stream", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "stream", "state": "stopped"}]


def test_an_unknown_name_is_refused_before_any_change(
    daemon: Live, ctl: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ctl("stop", "stream", "x") == 2
    assert capsys.readouterr().err == 'there is no endpoint "x"; there are: stream\n'
    assert daemon.supervisor.calls == []


def test_without_a_name_it_is_a_usage_error(daemon: Live, ctl: Run) -> None:
    assert ctl("stop") == 2
    assert daemon.supervisor.calls == []


def test_a_failure_has_the_daemons_text_and_exit_status(
    daemon: Live, ctl: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.supervisor.failures["stream"] = SocketError("bind", 13, "/var/lib/x", "chown it")
    assert ctl("start", "stream") == 4
    captured = capsys.readouterr()
    assert captured.err == "bind failed: Permission denied (13): /var/lib/x; chown it\n"
    assert captured.out == ""


def test_one_failure_does_not_keep_the_others_from_their_change(
    daemon: Live, ctl: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.supervisor.failures["stream"] = LocalechodError("it takes root", "restart the service")
    assert ctl("restart", "stream", "datagram") == 1
    captured = capsys.readouterr()
    assert captured.err == "stream: it takes root; restart the service\n"
    assert captured.out == "datagram: listening\n"


@pytest.mark.parametrize(
    ("names", "calls"),
    [
        (["stream"], ["Stop"]),
        (["stream", "stream"], ["Stop"]),
        (["stream", "datagram"], ["Status", "Stop", "Stop"]),
    ],
)
def test_one_name_takes_one_call_and_several_are_checked_first(
    ctl: Run, monkeypatch: pytest.MonkeyPatch, names: list[str], calls: list[str]
) -> None:
    made = []

    def noted(address: Address, method: str, *rest: Any) -> Any:
        made.append(method)
        return unary(address, method, *rest)

    monkeypatch.setattr(client, "unary", noted)
    assert ctl("stop", *names) == 0
    assert made == calls


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_a_single_unknown_name_is_refused_by_the_daemon(
    daemon: Live, ctl: Run, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert ctl(command, "x") == 2
    assert capsys.readouterr().err == 'there is no endpoint "x"; there are: stream\n'
    assert daemon.supervisor.calls == []


@pytest.mark.parametrize("command", ["start", "stop", "restart"])
def test_without_a_daemon_it_is_exit_status_3(
    sockdir: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert app.run(["--control", str(sockdir / "none"), command, "stream"]) == 3
    assert capsys.readouterr().err.startswith("localechod is not running: ")
