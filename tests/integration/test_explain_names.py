"""`explain` and names: abstract ones that are bound elsewhere, and paths that lead to no socket."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from localechod.explain.report import Report
from tests.integration.harness import needs_root
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
    assert f"nsenter --net --target {server.pid}" in str(report.verdict.remedy)
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
    assert "sizeof(struct sockaddr_un)" in str(report.verdict.remedy)
    assert stage.ask(server.getsockname()).kernel() == 0
    assert os.getpid() in [each.pid for each in stage.ask(server.getsockname()).explain().holders]
