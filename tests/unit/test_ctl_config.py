"""localechoctl config and version: output, errors, and both without a daemon."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localechod import __version__
from localechod.config import default_text
from localechod.ctl.app import run
from localechod.ctl.commands import config as config_command
from localechod.ctl.commands import version as version_command
from localechod.errors import DaemonNotRunningError, NotPermittedError


@dataclass
class Daemon:
    version: str
    pid: int


@dataclass
class Report:
    daemon: Daemon


class Client:
    """A client whose daemon answers; its version would clear the terminal."""

    def __init__(self, _options: object) -> None: ...

    def status(self) -> Report:
        return Report(Daemon("9.9\x1b[2J", 4711))

    def config(self) -> str:
        return "version = 1\n"


def test_the_default_is_printed_as_it_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "default"]) == 0
    assert capsys.readouterr().out == default_text()


def test_the_default_passes_the_check(sockdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = sockdir / "default.toml"
    file.write_text(default_text())
    assert run(["config", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: ok\n"


def test_a_mistake_is_reported_with_file_and_key(
    sockdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = sockdir / "bad.toml"
    file.write_text('version = 1\n[endpoints.a]\ntype = "strem"\n')
    assert run(["config", "check", str(file)]) == 78
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"{file}: ")
    assert "endpoints.a" in shown.err
    assert "strem" in shown.err


def test_a_probable_mistake_is_a_warning(sockdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = sockdir / "odd.toml"
    file.write_text(
        'version = 1\n[control]\nadmins = ["no-such-account"]\n[endpoints.a]\ntype = "stream"\n'
    )
    assert run(["config", "check", str(file)]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{file}: ok\n"
    assert shown.err.startswith("warning: control.admins")


def test_a_missing_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", "/nonexistent/x.toml"]) == 78
    assert capsys.readouterr().err == (
        "open failed: No such file or directory (2): /nonexistent/x.toml\n"
    )


def test_the_effective_configuration_is_the_daemons(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config_command, "client", Client)
    assert run(["config", "show"]) == 0
    assert capsys.readouterr().out == "version = 1\n"


def test_the_effective_configuration_needs_the_daemon(
    sockdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--control", f"{sockdir}/control.sock", "config", "show"]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert f"{sockdir}/control.sock" in shown.err


def test_both_versions_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(version_command, "client", Client)
    assert run(["version"]) == 0
    assert capsys.readouterr().out == (
        f"localechoctl {__version__}\nlocalechod   9.9\\x1b[2J (pid 4711)\n"
    )
    assert run(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"client": __version__, "daemon": "9.9\x1b[2J"}


def test_the_version_without_a_daemon(sockdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control = ["--control", f"{sockdir}/control.sock"]
    assert run([*control, "version"]) == 0
    assert capsys.readouterr().out == f"localechoctl {__version__}\nlocalechod   not running\n"
    assert run([*control, "version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"client": __version__, "daemon": None}


def test_a_daemon_that_refuses_the_call_is_not_reported_as_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(options: object) -> None:
        raise NotPermittedError("connect failed: Permission denied (13): /run/c")

    monkeypatch.setattr(version_command, "client", refused)
    assert run(["version"]) == 4
    shown = capsys.readouterr()
    assert shown.out == f"localechoctl {__version__}\n"
    assert shown.err == "connect failed: Permission denied (13): /run/c\n"


def test_the_control_socket_may_be_named_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def noted(options: Any) -> None:
        asked.append(options.control_path())
        raise DaemonNotRunningError("down")

    monkeypatch.setattr(version_command, "client", noted)
    monkeypatch.setenv("LOCALECHOD_CONTROL", "/from/environment")
    assert run(["version"]) == 0
    assert run(["--control", "/from/option", "version"]) == 0
    monkeypatch.setenv("LOCALECHOD_CONTROL", "")
    assert run(["version"]) == 0
    assert asked[:2] == ["/from/environment", "/from/option"]
    assert asked[2] not in {"", "/"}
    assert "not running" in capsys.readouterr().out
