"""localechoctl status: the documented JSON, a readable table, and the exit status."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from localechod.ctl import app
from localechod.ctl.commands.status import duration
from tests.unit.control_fakes import Live, endpoint, live

Run = Callable[..., int]

FAILED = endpoint(
    "failed",
    "failed",
    path="/var/lib/x.sock",
    error="bind failed: Permission denied (13): /var/lib/x.sock",
    hint='bind_as = "root" and a restart, or a directory that localecho may write to, or another '
    "path altogether, which would do as well",
    errors={"too_long": 2, "not_allowed": 1},
)


@pytest.fixture
def daemon(sockdir: Path) -> Iterator[Live]:
    with live(sockdir / "control.sock") as running:
        yield running


@pytest.fixture
def status(daemon: Live) -> Run:
    return lambda *words: app.run(["--control", str(daemon.path), "status", *words])


def test_json_has_exactly_the_documented_keys(
    daemon: Live, status: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.supervisor.rows["failed"] = FAILED
    assert status("--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["daemon", "control", "endpoints"]
    assert document["control"] == {"connections": 1, "errors": {}}
    assert document["daemon"] == {
        "version": "0.1.0",
        "pid": 4242,
        "user": "localecho",
        "uid": 990,
        "uptime_seconds": 192.5,
        "config": "/etc/localechod/localechod.toml",
        "runtime_dir": "/run/localechod",
        "restart_needed": [],
        "log_lines_left_out_total": 0,
    }
    stream, _, failed = document["endpoints"]
    assert stream == {
        "name": "stream",
        "type": "stream",
        "state": "listening",
        "path": "/run/localechod/stream.sock",
        "mode": "0666",
        "owner": "localecho",
        "group": "localecho",
        "framing": "line",
        "connections": 2,
        "accepted_total": 3,
        "messages_total": 4,
        "received_bytes_total": 50,
        "sent_bytes_total": 66,
        "errors": {},
        "error": None,
        "restarts_total": 0,
        "faults": {},
        "faults_total": {},
    }
    assert failed["error"] == "bind failed: Permission denied (13): /var/lib/x.sock"
    assert failed["errors"] == {"too_long": 2, "not_allowed": 1}


def test_text_shows_daemon_and_endpoints(status: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert status() == 0
    assert capsys.readouterr().out == (
        "localechod 0.1.0, pid 4242, user localecho (uid 990), up 3 min 12 s\n"
        "configuration: /etc/localechod/localechod.toml\n"
        "runtime directory: /run/localechod\n"
        "\n"
        "NAME      TYPE    STATE      CONNECTIONS  MESSAGES  ERRORS\n"
        "stream    stream  listening  2            4         0\n"
        "    /run/localechod/stream.sock  localecho:localecho 0666\n"
        "datagram  stream  listening  2            4         0\n"
        "    /run/localechod/datagram.sock  localecho:localecho 0666\n"
    )


def test_a_failed_endpoint_shows_error_and_hint_within_80_columns(
    daemon: Live, status: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.supervisor.rows["failed"] = FAILED
    assert status() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-5:] == [
        "    /var/lib/x.sock  localecho:localecho 0666",
        "    errors: not_allowed 1, too_long 2",
        "    bind failed: Permission denied (13): /var/lib/x.sock",
        '    hint: bind_as = "root" and a restart, or a directory that localecho may',
        "    write to, or another path altogether, which would do as well",
    ]
    assert max(map(len, lines)) <= 80


def test_a_needed_restart_and_a_built_in_configuration_are_shown(
    daemon: Live, status: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.daemon.restart_needed = ["service.user", "control.mode"]
    about = replace(daemon.daemon.info(), config="")
    daemon.daemon.info = lambda: about  # type: ignore[method-assign]
    daemon.supervisor.rows = {"odd": endpoint("odd", path="@odd", mode="", owner="", group="")}
    assert status() == 0
    out = capsys.readouterr().out
    assert "configuration: built in\n" in out
    assert "restart needed for service.user, control.mode\n" in out
    assert "    @odd  abstract\n" in out


def test_a_daemon_without_endpoints_is_shown_as_such(
    daemon: Live, status: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.supervisor.rows = {}
    assert status() == 0
    assert capsys.readouterr().out.endswith("\n\nno endpoints are configured\n")


@pytest.mark.parametrize(
    ("state", "code"),
    [("listening", 0), ("degraded", 0), ("stopped", 1), ("starting", 1), ("failed", 1)],
)
def test_a_named_endpoint_that_does_not_listen_is_exit_status_1(
    daemon: Live, status: Run, capsys: pytest.CaptureFixture[str], state: str, code: int
) -> None:
    daemon.do(daemon.supervisor.become, "stream", state)
    assert status("stream") == code
    assert status("stream", "--json") == code
    assert status("datagram") == 0
    assert status() == 0
    assert capsys.readouterr().err == ""


def test_an_unknown_name_is_a_usage_error(status: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("stream", "x") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == 'there is no endpoint "x"; there are: stream\n'


def test_without_a_daemon_the_hint_names_the_journal(
    sockdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sockdir / "control.sock"
    assert app.run(["--control", str(path), "status"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        f"localechod is not running: connect failed: No such file or directory (2): {path}; "
    )
    assert "journalctl -u localechod -n 20" in captured.err
    assert captured.err.endswith("; localechoctl explain checks its sockets\n")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (192.5, "3 min 12 s"),
        (3600, "1 h 0 min"),
        (90061, "1 d 1 h"),
    ],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
