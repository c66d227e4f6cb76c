"""Discovery of the daemon where the user names none: their own, or the system's."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localechod import config
from localechod.config import reader
from localechod.ctl.options import Options
from localechod.ctl.target import endpoints, resolve
from localechod.errors import DaemonNotRunningError, LocalechodError
from localechod.host import runtime
from localechod.localsocket.address import Address
from tests.integration.harness import NEEDS_ROOT

NOBODY = 65534


@pytest.fixture
def as_nobody(sockdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Act with the effective uid of an ordinary user without any daemon."""
    if os.geteuid() != 0:
        pytest.skip(NEEDS_ROOT)
    monkeypatch.setattr(runtime, "USERS_DIRECTORIES", sockdir / "users")
    monkeypatch.setenv("TMPDIR", f"{sockdir}/temporary")
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


@contextmanager
def listening(directory: Path, owner: int = NOBODY) -> Iterator[None]:
    """Listen at the control socket's path in a directory of this user."""
    os.seteuid(0)
    directory.mkdir(mode=0o755, parents=True)
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(f"{directory}/control.sock")
        daemon.listen()
        (directory / "control.sock").chmod(0o666)
        os.chown(directory, owner, owner)
        os.seteuid(NOBODY)
        yield


def test_an_ordinary_users_own_directory_is_used(
    sockdir: Path, as_nobody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(sockdir))
    assert Options().runtime_directory() == sockdir / "localechod"
    os.seteuid(0)
    (sockdir / "localechod").mkdir(mode=0o700)
    os.chown(sockdir / "localechod", NOBODY, NOBODY)
    os.seteuid(NOBODY)
    assert Options().control_path() == f"{sockdir}/localechod/control.sock"


def test_a_directory_that_others_may_write_to_is_not_trusted(
    sockdir: Path, as_nobody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(sockdir))
    os.seteuid(0)
    (sockdir / "localechod").mkdir()
    (sockdir / "localechod").chmod(0o777)
    os.seteuid(NOBODY)
    with pytest.raises(LocalechodError, match="cannot be used"):
        Options().runtime_directory()
    with pytest.raises(LocalechodError, match="cannot be used"):
        Options().control_path()


@pytest.fixture
def own_and_system(
    sockdir: Path, as_nobody: None, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """An ordinary user's own directory, empty, and the system's, in which a daemon runs."""
    os.seteuid(0)
    own, system = sockdir / "user" / "localechod", sockdir / "system"
    own.mkdir(mode=0o700, parents=True)
    os.chown(own, NOBODY, NOBODY)
    system.mkdir()
    (system / "control.sock").touch()
    row = {
        "name": "stream",
        "type": "stream",
        "path": f"{system}/stream.sock",
        "framing": "line",
        "record_size": 4096,
    }
    (system / "endpoints.json").write_text(json.dumps({"endpoints": [row]}))
    os.seteuid(NOBODY)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own.parent))
    monkeypatch.setattr(runtime, "SYSTEM_DIRECTORY", system)
    return own, system


def test_a_user_without_a_daemon_uses_the_systems(own_and_system: tuple[Path, Path]) -> None:
    _, system = own_and_system
    assert Options().control_path() == f"{system}/control.sock"
    assert Options().runtime_directory() == system
    assert resolve("stream", Options()).address == Address.parse(f"{system}/stream.sock")


@pytest.mark.parametrize("left", ["control.sock", "endpoints.json"])
def test_sockets_of_the_users_crashed_daemon_are_not_passed_over(
    left: str, own_and_system: tuple[Path, Path]
) -> None:
    own, _ = own_and_system
    (own / left).touch()
    assert Options().control_path() == f"{own}/control.sock"
    assert Options().runtime_directory() == own


def test_without_a_system_daemon_the_users_own_is_missing(
    own_and_system: tuple[Path, Path],
) -> None:
    own, system = own_and_system
    os.seteuid(0)
    (system / "control.sock").unlink()
    (system / "endpoints.json").unlink()
    os.seteuid(NOBODY)
    assert Options().control_path() == f"{own}/control.sock"


def test_a_named_control_socket_always_wins(own_and_system: tuple[Path, Path]) -> None:
    assert Options("/x/control.sock").control_path() == "/x/control.sock"
    assert Options("/x/control.sock").runtime_directory() == Path("/x")


@pytest.mark.parametrize("left", ["stream.sock", "endpoints.json"])
def test_a_system_daemon_that_is_about_to_start_counts(
    left: str, own_and_system: tuple[Path, Path]
) -> None:
    _, system = own_and_system
    os.seteuid(0)
    (system / "control.sock").unlink()
    (system / "endpoints.json").unlink()
    (system / left).touch()
    os.seteuid(NOBODY)
    assert Options().runtime_directory() == system


def test_a_users_socket_unit_counts_before_its_daemon_runs(
    own_and_system: tuple[Path, Path],
) -> None:
    own, _ = own_and_system
    (own / "stream.sock").touch()
    assert Options().runtime_directory() == own


def others(sockdir: Path) -> list[Path]:
    """Return where a daemon of the user's may be, but not by this environment."""
    return [
        sockdir / "users" / str(NOBODY) / "localechod",
        sockdir / "temporary" / f"localechod-{NOBODY}",
    ]


def read_default_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read it as root: this user may not be able to read the checkout, unlike an installation."""
    user = os.geteuid()
    os.seteuid(0)
    shipped = config.default_text()
    os.seteuid(user)
    monkeypatch.setattr(reader, "default_text", lambda: shipped)


def test_the_users_configuration_does_not_apply_to_the_systems_endpoints(
    sockdir: Path, own_and_system: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, system = own_and_system
    os.seteuid(0)
    (system / "endpoints.json").unlink()
    read_default_beforehand(monkeypatch)
    config.load(None, system)
    file = sockdir / "localechod" / "localechod.toml"
    file.parent.mkdir()
    file.write_text('version = 1\n[endpoints.mine]\ntype = "stream"\n', encoding="utf-8")
    os.seteuid(NOBODY)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(sockdir))
    monkeypatch.setattr(runtime, "SYSTEM_CONFIG", sockdir / "none")
    assert list(endpoints(Options(), configured=True)) == ["stream", "datagram", "seed"]
    (own / "control.sock").touch()
    assert list(endpoints(Options(), configured=True)) == ["mine"]


def test_before_its_daemon_runs_a_socket_unit_has_the_configured_names(
    own_and_system: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, _ = own_and_system
    read_default_beforehand(monkeypatch)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(own))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"{own}/stream.sock")
        assert resolve("stream", Options()).address == Address.parse(f"{own}/stream.sock")
    (own / "stream.sock").unlink()
    (own / "control.sock").touch()
    with pytest.raises(DaemonNotRunningError):
        resolve("stream", Options())


def test_a_broken_configuration_does_not_hide_that_no_daemon_runs(
    own_and_system: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, _ = own_and_system
    (own / "control.sock").touch()
    (own / "localechod.toml").write_text("version = ", encoding="utf-8")
    monkeypatch.setattr(runtime, "config_file", lambda *_, **__: own / "localechod.toml")
    with pytest.raises(DaemonNotRunningError):
        resolve("stream", Options())


@pytest.mark.parametrize("index", [0, 1])
def test_a_users_daemon_under_another_environment_is_found(
    index: int, sockdir: Path, own_and_system: tuple[Path, Path]
) -> None:
    elsewhere = others(sockdir)[index]
    with listening(elsewhere):
        assert Options().control_path() == f"{elsewhere}/control.sock"
        (own_and_system[0] / "control.sock").touch()
        assert Options().runtime_directory() == own_and_system[0]


def test_without_a_session_the_service_managers_is_found(
    sockdir: Path, own_and_system: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    session, private = others(sockdir)
    assert runtime.own_directories() == [private, session]
    with listening(session):
        assert Options().runtime_directory() == session


@pytest.mark.parametrize("index", [0, 1])
def test_in_other_directories_only_a_listening_daemon_counts(
    index: int, sockdir: Path, own_and_system: tuple[Path, Path]
) -> None:
    elsewhere = others(sockdir)[index]
    with listening(elsewhere):
        pass  # and then it crashed, long ago
    assert Options().runtime_directory() == own_and_system[1]


def test_other_users_sockets_in_other_directories_are_passed_over(
    sockdir: Path, own_and_system: tuple[Path, Path]
) -> None:
    with listening(others(sockdir)[1], owner=1):
        assert Options().runtime_directory() == own_and_system[1]


def test_for_root_the_systems_daemon_is_always_meant(
    sockdir: Path, own_and_system: tuple[Path, Path]
) -> None:
    with listening(others(sockdir)[0]):
        os.seteuid(0)
        assert Options().runtime_directory() == own_and_system[1]
        os.seteuid(NOBODY)


def announced(options: Options, capsys: pytest.CaptureFixture[str]) -> str:
    options.announce()
    return capsys.readouterr().err


def test_a_terminal_is_told_which_daemon_is_meant(
    sockdir: Path,
    own_and_system: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own, system = own_and_system
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert announced(Options(), capsys) == f"(the system's localechod, in {system}: you run none)\n"
    assert announced(Options(f"{system}/control.sock"), capsys) == ""
    elsewhere = others(sockdir)[0]
    with listening(elsewhere):
        assert (
            announced(Options(), capsys)
            == f"(your own localechod, in {elsewhere}, not the system's)\n"
        )
    (own / "control.sock").touch()
    assert announced(Options(), capsys) == f"(your own localechod, in {own}, not the system's)\n"
    os.seteuid(0)
    for name in ("control.sock", "endpoints.json"):
        (system / name).unlink()
    os.seteuid(NOBODY)
    assert announced(Options(), capsys) == ""  # there is no other that could be meant


def test_without_a_terminal_or_a_choice_nothing_is_printed(
    own_and_system: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    assert announced(Options(), capsys) == ""
