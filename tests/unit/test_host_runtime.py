"""Daemon and client find the same places, and trust only what nobody else can write to."""

import os
import pwd
import socket
from pathlib import Path

import pytest

from localechod.errors import ConfigError, LocalechodError, UsageError
from localechod.host import runtime
from localechod.host.privileges import Identity
from localechod.host.runtime import (
    check_private,
    config_file,
    control_path,
    own_directories,
    prepare,
    runtime_directory,
)
from tests.integration.harness import needs_root

NOBODY = Identity("nobody", 65534, 65534, frozenset({65534}))


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


def test_a_directory_of_ones_own_is_created_private(sockdir: Path) -> None:
    prepare(sockdir / "run", None)
    assert (sockdir / "run").stat().st_mode & 0o7777 == 0o700
    prepare(sockdir / "run", None)  # and found good again


@needs_root
def test_the_services_directory_is_its_own_and_open_to_visitors(sockdir: Path) -> None:
    prepare(sockdir / "run", NOBODY)
    status = (sockdir / "run").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (65534, 65534, 0o755)
    prepare(sockdir / "run", NOBODY)


@needs_root
def test_an_existing_directory_keeps_its_owner_and_is_refused_for_it(sockdir: Path) -> None:
    with pytest.raises(LocalechodError) as caught:
        prepare(sockdir, NOBODY)
    assert str(caught.value) == (
        f"runtime directory {sockdir} cannot be used: it belongs to uid 0 instead of uid 65534; "
        "give it to its user (chown), or choose another one"
    )
    assert sockdir.stat().st_uid == 0


@needs_root
def test_a_directory_that_somebody_swapped_is_not_handed_over(sockdir: Path) -> None:
    (sockdir / "theirs").mkdir()
    os.chown(sockdir / "theirs", 1, 1)
    parent = os.open(sockdir, os.O_PATH)
    runtime._hand_over(sockdir / "theirs", parent, NOBODY)
    assert (sockdir / "theirs").stat().st_uid == 1
    (sockdir / "link").symlink_to("theirs")
    with pytest.raises(LocalechodError, match=r"^chown failed: .*: .*/link$"):
        runtime._hand_over(sockdir / "link", parent, NOBODY)
    os.close(parent)


def test_a_directory_that_cannot_be_created_is_told_with_the_way_out(sockdir: Path) -> None:
    with pytest.raises(LocalechodError) as caught:
        prepare(sockdir / "none" / "run", None)
    assert caught.value.text == f"mkdir failed: No such file or directory (2): {sockdir}/none/run"
    assert "--runtime-dir" in caught.value.hint
    assert "XDG_RUNTIME_DIR" not in caught.value.hint


def test_a_session_directory_that_is_another_users_is_told_as_that(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{sockdir}/gone")
    with pytest.raises(LocalechodError, match="XDG_RUNTIME_DIR has to be a directory of your own"):
        prepare(runtime_directory(None, uid=7), None)


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


@pytest.mark.parametrize("kind", ["file", "link", "socket"])
def test_only_a_real_directory_will_do(sockdir: Path, kind: str) -> None:
    place = sockdir / "run"
    if kind == "file":
        place.touch()
    elif kind == "link":
        place.symlink_to(sockdir)
    else:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(place))
    with pytest.raises(LocalechodError, match="cannot be used: it is not a directory; remove it"):
        prepare(place, None)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o757])
def test_a_directory_that_others_may_write_to_is_refused(sockdir: Path, mode: int) -> None:
    sockdir.chmod(mode)
    with pytest.raises(LocalechodError, match=f"others than its owner \\(mode {mode:04o}\\)"):
        prepare(sockdir, None)


def test_the_clients_own_fallback_directory_may_be_trusted(sockdir: Path) -> None:
    check_private(sockdir)


@needs_root
def test_somebody_elses_fallback_directory_may_not(sockdir: Path) -> None:
    os.chown(sockdir, 65534, 65534)
    with pytest.raises(LocalechodError, match="belongs to uid 65534 instead of uid 0;"):
        check_private(sockdir)


def test_a_directory_that_is_gone_is_told(sockdir: Path) -> None:
    with pytest.raises(LocalechodError, match=r"^open failed: No such file or directory \(2\)"):
        check_private(sockdir / "none")
