"""An error arrives at the client with its text, hint and exit status."""

import errno

import pytest
from grpclib.const import Status

from localechod.control.wire_errors import (
    EXIT_STATUS,
    HINT,
    TEXT,
    error_of,
    metadata_of,
)
from localechod.echo.supervisor import UnknownEndpointError
from localechod.errors import (
    ConfigError,
    LocalechodError,
    NotPermittedError,
    SocketError,
    UsageError,
)
from localechod.localsocket.address import Address

ADDRESS = Address.parse("/run/localechod/control.sock")
ERRORS = [
    LocalechodError("bound before the drop", "systemctl restart localechod"),
    LocalechodError("no hint"),
    UsageError("wrong", "right"),
    UnknownEndpointError("there is no endpoint x", "there are: y"),
    NotPermittedError("not you"),
    ConfigError("/etc/x.toml: one mistake\n/etc/x.toml: another"),
    ConfigError("/etc/x.toml: endpoints.stream.mode: 440", 'write "0440"'),
    SocketError("bind", errno.EADDRINUSE, "/run/x", "stop it"),
    SocketError("bind", errno.EACCES, "/run/x"),
    LocalechodError("ein Wörtchen; mit Strichpunkt \udcff", "hint; with one"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.text[:20])
def test_text_hint_and_exit_status_arrive(error: LocalechodError) -> None:
    arrived = error_of(Status.FAILED_PRECONDITION, str(error), metadata_of(error), ADDRESS)
    assert str(arrived) == str(error).replace("\udcff", r"\udcff")
    assert arrived.hint == error.hint
    assert arrived.exit_status == error.exit_status


def test_without_our_metadata_the_status_decides() -> None:
    error = error_of(
        Status.PERMISSION_DENIED, "no", {TEXT: "text", HINT: b"", EXIT_STATUS: "2"}, ADDRESS
    )
    assert isinstance(error, NotPermittedError)
    assert str(error) == "no"


@pytest.mark.parametrize("number", ["", "-1", "abc", "99", "0", "9" * 5000])
def test_an_exit_status_that_no_error_has_becomes_failure(number: str) -> None:
    metadata: dict[str, str | bytes] = {TEXT: b"text", HINT: b"", EXIT_STATUS: number}
    assert error_of(Status.INTERNAL, "text", metadata, ADDRESS).exit_status == 1


def test_a_server_of_another_kind_is_reported_as_such() -> None:
    error = error_of(Status.UNIMPLEMENTED, "Method not found", {}, ADDRESS)
    assert str(error).startswith("control call failed: Method not found (UNIMPLEMENTED); ")
    assert "another" in error.hint


def test_text_of_a_foreign_server_is_made_printable() -> None:
    plain = error_of(Status.INTERNAL, "\x1b[2Jboo\n", {}, ADDRESS)
    ours = error_of(
        Status.INTERNAL, "", {TEXT: b"\x1b[2J\xff", HINT: b"\rrm -rf", EXIT_STATUS: "4"}, ADDRESS
    )
    assert str(plain).isprintable()
    assert str(ours).isprintable()
    assert ours.exit_status == 4


def test_a_status_without_a_message_is_named() -> None:
    assert (
        str(error_of(Status.INTERNAL, None, {}, ADDRESS))
        == "control call failed: INTERNAL (INTERNAL)"
    )


def test_long_text_is_cut_for_metadata_with_a_note() -> None:
    metadata = metadata_of(LocalechodError("x" * 100_000, "y" * 100_000))
    assert sum(map(len, metadata.values())) < 4000
    arrived = error_of(Status.INTERNAL, None, metadata, ADDRESS)
    assert arrived.text.endswith("xxx ... (cut)")
    assert arrived.hint.endswith("yyy ... (cut)")


def test_long_text_of_a_foreign_server_is_cut() -> None:
    sent: dict[str, str | bytes] = {TEXT: b"x" * 60_000, HINT: b"y" * 60_000, EXIT_STATUS: "1"}
    assert len(str(error_of(Status.INTERNAL, None, sent, ADDRESS))) < 7000
    assert len(str(error_of(Status.INTERNAL, "x" * 60_000, {}, ADDRESS))) < 2000
