"""Whom a command talks to: control socket, runtime directory, addresses and endpoint names."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from localechod.ctl.options import Options
from localechod.ctl.target import Target, resolve
from localechod.errors import DaemonNotRunningError, LocalechodError, UsageError
from localechod.host import runtime
from localechod.localsocket.address import Address

NOBODY = 65534


@pytest.fixture
def options(sockdir: Path) -> Options:
    rows = [
        {
            "name": "stream",
            "type": "stream",
            "path": f"{sockdir}/stream.sock",
            "framing": "line",
            "record_size": 4096,
        },
        {
            "name": "article",
            "type": "stream",
            "path": f"{sockdir}/article.sock",
            "framing": "record",
            "record_size": 512,
        },
        {
            "name": "letters",
            "type": "datagram",
            "path": "@letters",
            "framing": "",
            "record_size": 4096,
        },
        {"name": "odd", "type": "later", "path": "/x/y", "framing": "line", "record_size": 4096},
    ]
    (sockdir / "endpoints.json").write_text(json.dumps({"endpoints": rows}))
    return Options(f"{sockdir}/control.sock")


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Act with the effective uid of an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("becoming an ordinary user takes root")
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


def test_a_name_is_looked_up_in_the_catalogue(options: Options, sockdir: Path) -> None:
    assert resolve("article", options) == Target(
        Address.parse(f"{sockdir}/article.sock"), "stream", "record", 512, "article"
    )
    assert resolve("letters", options) == Target(
        Address.parse("@letters"), "datagram", name="letters"
    )


def test_a_type_that_this_program_does_not_know_is_found_out(options: Options) -> None:
    assert resolve("odd", options).type is None


def test_an_unknown_name_is_answered_with_the_known_ones(options: Options) -> None:
    with pytest.raises(UsageError) as caught:
        resolve("streem\n", options)
    assert str(caught.value) == (
        "no endpoint is named streem\\n; the endpoints are: stream, article, letters, odd; "
        "an address has a / in it or begins with @"
    )


def test_a_name_without_any_endpoints_says_so(sockdir: Path) -> None:
    (sockdir / "endpoints.json").write_text('{"endpoints": []}')
    with pytest.raises(UsageError, match="the endpoints are: none"):
        resolve("stream", Options(f"{sockdir}/control.sock"))


def test_a_name_without_a_catalogue_needs_the_daemon(sockdir: Path) -> None:
    with pytest.raises(DaemonNotRunningError) as caught:
        resolve("stream", Options(f"{sockdir}/control.sock"))
    assert str(sockdir / "endpoints.json") in str(caught.value)


def test_a_user_without_a_daemon_of_his_own_is_told_of_the_systems(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sockdir / "endpoints.json").write_text('{"endpoints": []}')
    monkeypatch.setattr(runtime, "SYSTEM_DIRECTORY", sockdir)
    with pytest.raises(DaemonNotRunningError) as caught:
        resolve("stream", Options("/nonexistent/control.sock"))
    assert (
        caught.value.hint
        == f"the system's is: localechoctl --control {sockdir}/control.sock send ..."
    )


def test_an_address_needs_no_catalogue(sockdir: Path) -> None:
    nowhere = Options(f"{sockdir}/control.sock")
    assert resolve("/x/y.sock", nowhere) == Target(Address.parse("/x/y.sock"), None, "auto", 4096)
    assert resolve("@abc", nowhere) == Target(Address.parse("@abc"))


def test_an_address_does_with_a_broken_catalogue(sockdir: Path) -> None:
    (sockdir / "endpoints.json").write_text("{")
    nowhere = Options(f"{sockdir}/control.sock")
    assert resolve("/x/y.sock", nowhere).framing == "auto"
    with pytest.raises(LocalechodError, match="read failed"):
        resolve("name", nowhere)


def test_an_address_of_ours_is_spoken_to_as_the_endpoint_wants(
    options: Options, sockdir: Path
) -> None:
    assert resolve(f"{sockdir}/article.sock", options) == Target(
        Address.parse(f"{sockdir}/article.sock"), "stream", "record", 512
    )
    assert resolve("@letters", options) == Target(Address.parse("@letters"), "datagram")
    assert resolve("@stream", options).framing == "auto"


@pytest.mark.parametrize("text", ["./stream", "a/b", "/", "@", "/" + "x" * 200])
def test_an_address_that_cannot_be_is_a_usage_error(text: str, options: Options) -> None:
    with pytest.raises(UsageError):
        resolve(text, options)


def test_the_control_socket_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert Options("/x/c.sock").control_path() == "/x/c.sock"
    assert Options("x/c.sock").control_path() == "/x/c.sock"
    assert Options("@name").control_path() == "@name"


def test_the_directory_goes_with_the_control_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert Options("/x/c.sock").runtime_directory() == Path("/x")
    assert Options("x/c.sock").runtime_directory() == Path("/x")


def test_without_a_word_from_the_user_it_is_the_usual_place() -> None:
    usual = runtime.runtime_directory(None)
    assert Options().control_path() == f"{usual}/control.sock"
    assert Options().runtime_directory() == usual
    assert Options("@name").runtime_directory() == usual


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
def two_places(
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


def test_who_has_no_daemon_of_his_own_talks_to_the_systems(two_places: tuple[Path, Path]) -> None:
    _, system = two_places
    assert Options().control_path() == f"{system}/control.sock"
    assert Options().runtime_directory() == system
    assert resolve("stream", Options()).address == Address.parse(f"{system}/stream.sock")


@pytest.mark.parametrize("left", ["control.sock", "endpoints.json"])
def test_what_is_left_of_his_own_daemon_is_not_passed_over(
    left: str, two_places: tuple[Path, Path]
) -> None:
    own, _ = two_places
    (own / left).touch()
    assert Options().control_path() == f"{own}/control.sock"
    assert Options().runtime_directory() == own


def test_without_a_system_daemon_it_is_his_own_that_is_missing(
    two_places: tuple[Path, Path],
) -> None:
    own, system = two_places
    os.seteuid(0)
    (system / "control.sock").unlink()
    (system / "endpoints.json").unlink()
    os.seteuid(NOBODY)
    assert Options().control_path() == f"{own}/control.sock"


def test_what_the_user_names_always_wins(two_places: tuple[Path, Path]) -> None:
    assert Options("/x/control.sock").control_path() == "/x/control.sock"
    assert Options("/x/control.sock").runtime_directory() == Path("/x")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_is_told_of_the_systems_daemon(
    *,
    terminal: bool,
    two_places: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own, system = two_places
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    Options().tell()
    told = f"(the system's localechod, in {system}: you run none)\n"
    assert capsys.readouterr().err == (told if terminal else "")
    Options(f"{system}/control.sock").tell()
    (own / "control.sock").touch()
    Options().tell()
    assert capsys.readouterr().err == ""
