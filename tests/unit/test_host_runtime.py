"""Daemon and client find the same paths."""

import pwd
from pathlib import Path

import pytest

from localechod.errors import ConfigError, UsageError
from localechod.host import runtime
from localechod.host.runtime import (
    config_file,
    control_path,
    own_directories,
    runtime_directory,
)


@pytest.mark.parametrize(
    ("explicit", "environ", "uid", "expected"),
    [
        (None, {"XDG_RUNTIME_DIR": "/run/user/0"}, 0, "/run/localechod"),
        (None, {"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/run/user/7/localechod"),
        (None, {"XDG_RUNTIME_DIR": "relative", "TMPDIR": "/scratch"}, 7, "/scratch/localechod-7"),
        (None, {"XDG_RUNTIME_DIR": ""}, 7, "/tmp/localechod-7"),  # noqa: S108 - what is tested
        (None, {"TMPDIR": "relative"}, 7, "/tmp/localechod-7"),  # noqa: S108 - what is tested
        ("/srv/x", {"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/srv/x"),
        ("/srv/x", {}, 0, "/srv/x"),
    ],
)
def test_the_runtime_directory_follows_from_environment_and_uid(
    explicit: str | None, environ: dict[str, str], uid: int, expected: str
) -> None:
    assert runtime_directory(explicit, environ=environ, uid=uid) == Path(expected)


def test_a_relative_directory_is_made_absolute_at_once(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sockdir)
    assert runtime_directory("here") == sockdir / "here"


@pytest.mark.parametrize("text", ["", "a\0b"])
def test_what_is_no_path_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"^the runtime directory cannot be "):
        runtime_directory(text)
    with pytest.raises(UsageError, match=r"^the configuration file cannot be "):
        config_file(text)
    with pytest.raises(UsageError, match=r"^the control socket's path cannot be "):
        control_path(text)


def test_the_control_socket_is_the_one_named_before_the_one_by_rule() -> None:
    environ = {"LOCALECHOD_CONTROL": "/srv/control", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert control_path("/srv/other", environ=environ) == Path("/srv/other")
    assert control_path(None, environ=environ) == Path("/srv/control")
    environ["LOCALECHOD_CONTROL"] = ""
    assert control_path(None, environ=environ) == (
        runtime_directory(None, environ=environ) / "control.sock"
    )


def test_the_configuration_asked_for_has_to_exist_and_is_made_absolute(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sockdir)
    (sockdir / "own.toml").touch()
    assert config_file("own.toml") == sockdir / "own.toml"
    with pytest.raises(ConfigError) as caught:
        config_file("none.toml")
    assert str(caught.value) == f"open failed: No such file or directory (2): {sockdir}/none.toml"
    assert caught.value.exit_status == 78


def test_root_reads_the_systems_configuration_where_there_is_one(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "SYSTEM_CONFIG", sockdir / "etc.toml")
    environ = {"XDG_CONFIG_HOME": str(sockdir)}
    assert config_file(None, environ=environ, uid=0) is None
    (sockdir / "etc.toml").touch()
    assert config_file(None, environ=environ, uid=0) == sockdir / "etc.toml"


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "HOME"])
def test_anyone_else_reads_his_own_where_there_is_one(sockdir: Path, variable: str) -> None:
    environ = {variable: str(sockdir)}
    assert config_file(None, environ=environ, uid=7) is None
    base = sockdir / ".config" if variable == "HOME" else sockdir
    own = base / "localechod" / "localechod.toml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert config_file(None, environ=environ, uid=7) == own


def test_without_a_home_in_the_environment_the_account_tells_it() -> None:
    nobody = pwd.getpwnam("nobody")
    own = runtime._user_config({}, nobody.pw_uid)
    assert own == Path(nobody.pw_dir) / ".config/localechod/localechod.toml"
    assert config_file(None, environ={}, uid=nobody.pw_uid) is None


def test_a_uid_without_an_account_gets_the_default() -> None:
    assert config_file(None, environ={}, uid=3999999999) is None


def test_a_configuration_that_cannot_be_seen_is_not_taken_for_none(sockdir: Path) -> None:
    (sockdir / "localechod").symlink_to("localechod")
    with pytest.raises(ConfigError, match=r"^open failed: .*\(40\): .*/localechod.toml$"):
        config_file(None, environ={"XDG_CONFIG_HOME": str(sockdir)}, uid=7)


@pytest.mark.parametrize(
    ("environ", "uid", "expected"),
    [
        ({"XDG_RUNTIME_DIR": "/x"}, 7, ["/x", "/run/user/7", "/t"]),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, 7, ["/run/user/7", "/t"]),
        ({}, 7, ["/t", "/run/user/7"]),
        ({"XDG_RUNTIME_DIR": "/run/user/0"}, 0, ["/run"]),
    ],
)
def test_a_users_daemon_may_be_where_another_environment_leads(
    environ: dict[str, str], uid: int, expected: list[str]
) -> None:
    places = own_directories(environ={"TMPDIR": "/t", **environ}, uid=uid)
    names = ["localechod-7" if place == "/t" else "localechod" for place in expected]
    assert places == [Path(place, name) for place, name in zip(expected, names, strict=True)]
