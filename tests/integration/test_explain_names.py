"""`explain` and names: abstract ones that are bound elsewhere, and paths that lead to no socket."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from localechod.explain.not_sockets import Content, read
from localechod.explain.report import Report
from tests.integration.harness import as_user, needs_root
from tests.integration.stage import CLONE_NEWNET, Stage, unshare

pytestmark = needs_root


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def abstract(stage: Stage, tail: bytes = b"") -> socket.socket:
    sock = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    sock.bind(b"\0" + stage.directory.name.encode() + tail)
    sock.listen()
    return sock


def details(report: Report, name: str) -> str:
    return "\n".join(check.detail for check in report.checks if check.name == name)


def test_an_abstract_name_of_another_network_namespace_has_its_process_named(stage: Stage) -> None:
    def serve() -> None:
        unshare(CLONE_NEWNET)
        abstract(stage)

    server = stage.process(serve)
    asked = stage.ask(b"\0" + stage.directory.name.encode())
    report = asked.explain()
    assert report.verdict.number == asked.kernel() == errno.ECONNREFUSED
    assert f"another one has it, held by python ({server.pid}, root" in report.verdict.text
    assert f"nsenter --net --target {server.pid}" in report.verdict.remedy.text
    # To follow the remedy helps.
    inside = stage.ask(asked.name, enter=lambda: _enter_network(server.pid))
    assert inside.kernel() == inside.explain().verdict.number == 0


def _enter_network(pid: int) -> None:
    import ctypes  # noqa: PLC0415 - in the child only

    with open(f"/proc/{pid}/ns/net", "rb") as namespace:  # noqa: PTH123 - a descriptor is needed
        assert not ctypes.CDLL(None).setns(namespace.fileno(), CLONE_NEWNET)


def test_a_name_padded_with_nul_bytes_is_found_and_named(stage: Stage) -> None:
    name = stage.directory.name
    server = abstract(stage, b"\0" * (107 - len(name)))
    asked = stage.ask(b"\0" + name.encode())
    report = asked.explain()
    assert report.verdict.number == asked.kernel() == errno.ECONNREFUSED
    shown = f"there is @{name} and {107 - len(name)} NUL bytes"
    assert shown in report.verdict.text
    assert "sizeof(struct sockaddr_un)" in report.verdict.remedy.text
    assert stage.ask(server.getsockname()).kernel() == 0
    assert os.getpid() in [each.pid for each in stage.ask(server.getsockname()).explain().holders]


def test_a_redirect_of_gnupgs_names_the_socket(stage: Stage) -> None:
    stage.listener("real")
    redirect = stage.directory / "S.gpg-agent"
    redirect.write_bytes(b"%Assuan%\nsocket=" + bytes(stage.directory) + b"/real\n")
    redirect.chmod(0o666)
    asked = stage.ask("S.gpg-agent")
    report = asked.explain()
    assert report.verdict.number == asked.kernel() == errno.ECONNREFUSED
    assert f"(%Assuan%) take it for {stage.directory}/real, connect(2) does not" in details(
        report, "file"
    )
    assert f"localechoctl explain {stage.directory}/real" in report.verdict.remedy.text
    redirect.write_bytes(b"socket=/x\n")
    assert "Assuan" not in details(asked.explain(), "file")


def test_a_directory_names_the_sockets_in_it(stage: Stage) -> None:
    stage.folder("postgresql", 0o777)
    stage.listener("postgresql/.s.PGSQL.5432")
    (stage.directory / "postgresql" / "a.lock").touch()
    asked = stage.ask("postgresql")
    report = asked.explain()
    assert report.verdict.number == asked.kernel() == errno.ECONNREFUSED
    assert details(report, "file").endswith("not a socket; the sockets in it: .s.PGSQL.5432")
    assert str(stage.directory / "postgresql" / ".s.PGSQL.5432") in report.verdict.remedy.text
    assert stage.ask("postgresql/.s.PGSQL.5432").kernel() == 0


def test_an_empty_directory_may_be_the_source_of_a_mount_that_was_missing(stage: Stage) -> None:
    empty = stage.folder("app.sock", 0o777)
    report = stage.ask("app.sock").explain()
    assert "container engines create one" in details(report, "file")
    assert f"rmdir {empty}" in report.verdict.remedy.text
    (empty / "file").touch()
    assert stage.ask("app.sock").explain().verdict.remedy.text == "correct the path"


def test_what_we_may_not_read_is_only_no_socket(stage: Stage) -> None:
    closed = bytes(stage.folder("closed", 0o700))
    assert read(bytes(stage.directory / "gone"), stat.S_IFDIR) == Content()
    assert read(closed, stat.S_IFDIR) == Content(is_empty=True)
    assert as_user(65534, [], lambda: read(closed, stat.S_IFDIR) != Content()) == 0
