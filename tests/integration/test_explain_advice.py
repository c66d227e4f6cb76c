"""The advice of `explain` to real processes, where a command alone does not help."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localechod.explain.client import of_process, of_user
from localechod.explain.facts import Question
from localechod.explain.report import Report, explain
from tests.integration.harness import needs_all_namespaces, needs_root
from tests.integration.situations import namespaces
from tests.integration.stage import DAEMON, GAMES, NOBODY, STAFF, Stage, become

pytestmark = needs_root

LOGIN_GROUP = 60  # of the account games, on Debian


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def call_itself(name: bytes) -> None:
    """Give this process a name (PR_SET_NAME)."""
    ctypes.CDLL(None).prctl(15, name, 0, 0, 0)


def named(name: bytes, uid: int) -> None:
    """Give this process a name, and become a user."""
    call_itself(name)
    become(uid)


def asked_as(stage: Stage, user: str, name: str = "s") -> Report:
    return explain(Question(os.fsencode(stage.directory / name), None, of_user(user)))


def test_a_process_without_its_accounts_group_is_named_and_started_anew(stage: Stage) -> None:
    stage.listener(mode=0o660, gid=LOGIN_GROUP)
    asked = stage.ask(enter=lambda: named(b"tmux: server", GAMES))
    found = asked.explain().verdict.remedy
    pid = asked.client.pid
    assert found.text.startswith(
        "the account database has games in group games already: log in again, and restart "
        f"tmux: server ({pid}) from there"
    )
    assert (found.commands, found.renews) == ((), True)
    assert asked_as(stage, "games").verdict.number == 0


def test_the_child_of_a_multiplexer_has_it_restarted(stage: Stage) -> None:
    stage.listener(mode=0o660, gid=LOGIN_GROUP)

    def shell_below() -> None:
        named(b"tmux: server", GAMES)
        if child := os.fork():  # the server ends with its child
            os.waitpid(child, 0)
            os._exit(0)
        call_itself(b"bash")

    asked = stage.ask(enter=shell_below)
    children = Path(f"/proc/{asked.client.pid}/task/{asked.client.pid}/children")
    (shell,) = map(int, children.read_text(encoding="ascii").split())
    report = explain(Question(asked.name, asked.type, of_process(shell), shell))
    assert f"restart tmux: server ({asked.client.pid})" in report.verdict.remedy.text


@pytest.mark.parametrize("command", ["ssh-agent", "gpg-agent"])
def test_an_agent_of_another_user_is_not_opened(stage: Stage, command: str) -> None:
    def serve() -> None:
        call_itself(command.encode())
        stage.listener("agent/s", mode=0o600, uid=DAEMON)

    stage.folder("agent", 0o700, DAEMON)
    server = stage.process(serve)
    report = asked_as(stage, "games", "agent/s")
    assert report.verdict.number == 13
    found = report.verdict.remedy
    assert (found.actions, found.commands) == ((), ())
    assert f"{command} ({server.pid}) looks at the uid of its client after accept" in found.text
    caveats = asked_as(stage, "root", "agent/s").verdict.remedy.caveats
    assert any("serves user daemon" in each for each in caveats)


def test_a_client_in_another_root_is_shown_by_number(stage: Stage) -> None:
    stage.listener(stage.folder("root/run") / "s", mode=0o660, gid=STAFF)
    root = stage.directory / "root"

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        become(NOBODY)

    report = stage.ask(b"/run/s", enter=enter).explain()
    shown = f"{report.verdict} {report.checks}"
    assert not any(name in shown for name in ("nobody", "staff", "root root"))
    assert "--group-add 50" in report.verdict.remedy.text
    (command,) = report.verdict.remedy.commands
    assert command.startswith(f"setfacl -m u:{NOBODY}:w /proc/")


def test_a_uid_without_an_account_is_judged_by_its_numbers(stage: Stage) -> None:
    stage.listener(mode=0o660, gid=STAFF)
    assert asked_as(stage, "20009").verdict.number == 13
    assert asked_as(stage, f"20009:7,{STAFF}").verdict.number == 0
    for user, number in (("20009", 13), (f"20009:{STAFF}", 0)):
        question = Question(os.fsencode(stage.directory / "s"), None, of_user(user))
        assert explain(question, probing=True).verdict.number == number


@needs_all_namespaces
def test_a_socket_bound_below_an_overlay_is_never_to_be_removed(stage: Stage) -> None:
    asked = namespaces.a_socket_that_was_bound_below_an_overlay(stage)
    verdict = asked.explain().verdict
    assert "a socket is bound and connected through the same mount" in verdict.text
    assert "remove" not in str(verdict)
