"""`--probe` makes a real connect; only root can make one as another user."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from localechod.errors import LocalechodError, NotPermittedError
from localechod.explain.client import of_process, of_user
from localechod.explain.facts import Question
from localechod.explain.probe import Outcome, probe
from localechod.explain.report import explain
from tests.integration.harness import as_user, needs_root
from tests.integration.situations import SITUATIONS, Situation, namespaces
from tests.integration.stage import CLONE_NEWNET, NOBODY, Stage, unshare

pytestmark = needs_root

# Python's own connect refuses these names, as do programs in most languages.
ROWS = [row for row in SITUATIONS if not row.name.endswith(("_too_long", "_room_for_its_nul"))]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_probe_returns_the_errno_that_the_process_gets(row: Situation, stage: Stage) -> None:
    asked = row.create(stage)
    client = of_process(asked.client.pid)
    question = Question(asked.name, asked.type, client, asked.client.pid)
    assert probe(question).number == row.number


def test_without_a_probe_the_server_sees_no_client(stage: Stage) -> None:
    listener = stage.listener()
    name = os.fsencode(stage.directory / "s")
    question = Question(name, None, of_process(os.getpid()))
    assert explain(question).verdict.number == 0
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert explain(question, probing=True).verdict.number == 0
    listener.accept()[0].close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM])
def test_a_probe_finds_the_type(stage: Stage, kind: int) -> None:
    sock = stage.bind(kind=kind)
    if kind != socket.SOCK_DGRAM:
        sock.listen()
    name = os.fsencode(stage.directory / "s")
    assert probe(Question(name, None, of_user("nobody"))) == Outcome(0)


def test_a_probe_decides_an_unknown_verdict(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.stale()
    monkeypatch.setattr("localechod.explain.netns.identity", lambda pid: None if pid == 1 else pid)
    monkeypatch.setattr("localechod.explain.netns.run_inside", lambda _, action: action())
    question = Question(os.fsencode(stage.directory / "s"), None, of_user("nobody"))
    assert explain(question).verdict.number is None
    probed = explain(question, probing=True)
    assert probed.verdict.number == errno.ECONNREFUSED
    assert probed.verdict.remedy.text
    assert [each.name for each in probed.checks][-1] == "probe"


def test_a_probe_of_a_mounted_file_keeps_the_remedy_of_the_mount(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = namespaces.a_bind_mounted_socket_file_whose_server_has_bound_anew(stage)
    monkeypatch.setattr("localechod.explain.netns.identity", lambda pid: None if pid == 1 else pid)
    client = of_process(asked.client.pid)
    probed = explain(Question(asked.name, None, client, asked.client.pid), probing=True)
    assert probed.verdict.number == errno.ECONNREFUSED
    assert probed.verdict.remedy.text.startswith("mount the directory instead of the file")


def test_an_ordinary_user_can_probe_only_as_themselves(stage: Stage) -> None:
    stage.listener()
    name = os.fsencode(stage.directory / "s")

    def probed() -> int:
        own = probe(Question(name, None, of_process(os.getpid()))).number
        try:
            probe(Question(name, None, of_user("root")))
        except NotPermittedError:
            return own
        return 99

    assert as_user(NOBODY, [], probed) == 0


def test_a_probe_that_cannot_enter_the_namespaces_is_an_error(stage: Stage) -> None:
    client = stage.process(lambda: unshare(CLONE_NEWNET))
    question = Question(b"/x", None, of_user("nobody"), client.pid)
    client.stop()
    with pytest.raises(LocalechodError, match=r"probing failed: .*No such file"):
        probe(question)
