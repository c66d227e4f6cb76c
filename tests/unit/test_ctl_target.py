"""Targets of commands: control socket, runtime directory, addresses and endpoint names."""

import json
import socket
from pathlib import Path

import pytest

from localechod.ctl.options import Options
from localechod.ctl.target import Target, resolve
from localechod.errors import DaemonNotRunningError, LocalechodError, UsageError
from localechod.host import runtime
from localechod.localsocket.address import Address


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


def test_a_name_is_looked_up_in_the_catalog(options: Options, sockdir: Path) -> None:
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


def test_a_name_without_a_catalog_needs_the_daemon(sockdir: Path) -> None:
    with pytest.raises(DaemonNotRunningError) as caught:
        resolve("stream", Options(f"{sockdir}/control.sock"))
    assert str(sockdir / "endpoints.json") in str(caught.value)


def test_without_a_daemon_of_their_own_users_are_told_of_the_systems(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "SYSTEM_DIRECTORY", sockdir)
    with socket.socket(socket.AF_UNIX) as system:
        system.bind(f"{sockdir}/control.sock")
        with pytest.raises(DaemonNotRunningError) as caught:
            resolve("stream", Options("/nonexistent/control.sock"))
    assert (
        f"to use the system's daemon: localechoctl --control {sockdir}/control.sock"
        in caught.value.hint
    )


def test_an_address_needs_no_catalog(sockdir: Path) -> None:
    nowhere = Options(f"{sockdir}/control.sock")
    assert resolve("/x/y.sock", nowhere) == Target(Address.parse("/x/y.sock"), None, "auto", 4096)
    assert resolve("@abc", nowhere) == Target(Address.parse("@abc"))


def test_an_address_does_not_need_a_valid_catalog(sockdir: Path) -> None:
    (sockdir / "endpoints.json").write_text("{")
    nowhere = Options(f"{sockdir}/control.sock")
    assert resolve("/x/y.sock", nowhere).framing == "auto"
    with pytest.raises(LocalechodError, match="read failed"):
        resolve("name", nowhere)


def test_an_endpoints_address_has_its_type_and_framing(options: Options, sockdir: Path) -> None:
    assert resolve(f"{sockdir}/article.sock", options) == Target(
        Address.parse(f"{sockdir}/article.sock"), "stream", "record", 512
    )
    assert resolve("@letters", options) == Target(Address.parse("@letters"), "datagram")
    assert resolve("@stream", options).framing == "auto"


def test_an_endpoints_address_is_recognized_in_any_form(
    options: Options, sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sockdir)
    for text in (f"unix://{sockdir}/article.sock", "./article.sock", "unix:article.sock"):
        assert resolve(text, options).record_size == 512, text
    assert resolve("unix-abstract:letters", options).type == "datagram"


def test_the_choice_from_a_list_is_printed(
    options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    found = resolve("unix:path=/x/a;unix:path=/x/b", options)
    assert found.address == Address(b"/x/a")
    assert capsys.readouterr().err == "(address 1 of 2: /x/a)\n"


def test_a_socket_in_the_working_directory_is_hinted_at(
    options: Options, sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sockdir)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("x.sock")
    for asked in (options, Options(f"{sockdir}/nowhere/control.sock")):  # without a catalog, too
        with pytest.raises(UsageError, match=r"no endpoint is named x.sock; there is \./x.sock,"):
            resolve("x.sock", asked)


@pytest.mark.parametrize("text", ["", "/", "@", "unix:", "./", "/" + "x" * 200])
def test_an_impossible_address_is_a_usage_error(text: str, options: Options) -> None:
    with pytest.raises(UsageError):
        resolve(text, options)


def test_the_control_socket_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert Options("/x/c.sock").control_path() == "/x/c.sock"
    assert Options("x/c.sock").control_path() == "/x/c.sock"
    assert Options("@name").control_path() == "@name"


def test_the_runtime_directory_is_that_of_the_control_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir("/")
    assert Options("/x/c.sock").runtime_directory() == Path("/x")
    assert Options("x/c.sock").runtime_directory() == Path("/x")


def test_without_an_option_it_is_the_default_directory() -> None:
    usual = runtime.runtime_directory(None)
    assert Options().control_path() == f"{usual}/control.sock"
    assert Options().runtime_directory() == usual
    assert Options("@name").runtime_directory() == usual
