"""`explain` run in a user namespace, where owners that it does not know all look alike.

What it says there is compared with what the kernel says to the same process: it may not know, but
it must not be wrong.
"""

import ctypes
import errno
import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from localechod.explain.client import of_process
from localechod.explain.facts import Question
from localechod.explain.report import explain
from tests.integration.harness import needs_root
from tests.integration.stage import (
    CLONE_NEWUSER,
    GROUP,
    GROUP_OBJ,
    MASK,
    NOBODY,
    OTHER,
    USER,
    USER_OBJ,
    Stage,
    become,
    become_root,
    enter_user_namespace,
    set_acl,
    unshare,
)

pytestmark = needs_root

FIRST, COUNT = 100000, 65536  # as Docker, Podman and nspawn map them: nobody (65534) has an id too
OWN_NOBODY = FIRST + NOBODY
ALICE, STAFF, OTHERS = 1001, 50, 60  # ids that no map has
Answer = tuple[int, int | None]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def into(
    then: Callable[[], None],
    before: Callable[[], None] = lambda: None,
    mapped: str = f"0 {FIRST} {COUNT}",
) -> None:
    """Enter a user namespace whose ids are these, and go on as somebody there."""
    enter_user_namespace(mapped, before)
    then()


def dumpable() -> None:
    """Let others with our rights look at us, as after an exec (prctl(2), PR_SET_DUMPABLE)."""
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Inside:
    """A process in a user namespace: how it gets there, and what explain tells it there."""

    name: str
    enter: Callable[[], None]

    def asks(self, path: Path, *, of_neighbour: bool = False) -> Answer:
        """Return what connect(2) says and what `explain` says, in a process of that kind.

        Args:
            path: to a socket.
            of_neighbour: have `explain` asked by another process there, about the first one.
        """
        with tempfile.TemporaryFile() as answers:
            child = os.fork()
            if not child:
                try:
                    self.enter()
                    dumpable()
                    told = _told_about_parent(path) if of_neighbour else _told(path, None)
                    answers.write(json.dumps([_kernel(path), told]).encode())
                except BaseException as error:  # noqa: BLE001 - a forked process must not return to pytest
                    answers.write(json.dumps(repr(error)).encode())
                answers.flush()
                os._exit(0)
            os.waitpid(child, 0)
            answers.seek(0)
            number, told = json.loads(answers.read())
        return number, told


def _kernel(path: Path) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        return sock.connect_ex(str(path))


def _told(path: Path, pid: int | None) -> int | None:
    client = of_process(pid or os.getpid())
    question = Question(os.fsencode(path), socket.SOCK_STREAM, client, pid)
    return explain(question).verdict.number


def _told_about_parent(path: Path) -> int | None:
    """Ask in a new process; every answer here fits into the status that it ends with."""
    child = os.fork()
    if not child:
        told = 255
        try:
            told = _told(path, os.getppid()) or 0
        finally:
            os._exit(told)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _alice() -> None:
    become(ALICE, [STAFF])


def _alice_unmapped() -> None:
    _alice()
    unshare(CLONE_NEWUSER)


PEOPLE = [
    Inside("root", lambda: into(become_root)),
    Inside("nobody", lambda: into(lambda: become(NOBODY))),
    Inside("a member of its group", lambda: into(lambda: become(5, [NOBODY]))),
    Inside("an ordinary user", lambda: into(lambda: become(5, [7]))),
    Inside("alice, unmapped", _alice_unmapped),
    Inside("alice as root", lambda: into(lambda: None, _alice, f"0 {ALICE} 1")),
]
OWNERS = [0, ALICE, FIRST, OWN_NOBODY]
GROUPS = [0, STAFF, OTHERS, FIRST, OWN_NOBODY]
MODES = [0o666, 0o600, 0o060]


@pytest.mark.parametrize("who", PEOPLE, ids=lambda who: who.name)
def test_a_verdict_inside_a_user_namespace_is_never_wrong(stage: Stage, who: Inside) -> None:
    known = 0
    for number, (owner, group, mode) in enumerate(product(OWNERS, GROUPS, MODES)):
        stage.listener(f"s{number}", mode, owner, group)
        kernel, told = who.asks(stage.directory / f"s{number}")
        assert told in {kernel, None}, (owner, group, oct(mode))
        known += told is not None
    assert known >= len(OWNERS) * len(GROUPS)  # at least where the mode is for everybody


@pytest.mark.parametrize("who", PEOPLE, ids=lambda who: who.name)
def test_acl_entries_for_unmapped_ids_are_never_taken_for_the_clients(
    stage: Stage, who: Inside
) -> None:
    for number, (tag, id_, bits) in enumerate(
        product((USER, GROUP), (ALICE, STAFF, OTHERS, OWN_NOBODY), (0, 6))
    ):
        stage.listener(f"s{number}")
        path = stage.directory / f"s{number}"
        base = [(USER_OBJ, 6, -1), (GROUP_OBJ, 0, -1), (MASK, 6, -1), (OTHER, 0, -1)]
        set_acl(path, *sorted([*base, (tag, bits, id_)]))
        kernel, told = who.asks(path)
        assert told in {kernel, None}, (tag, id_, bits)


def test_where_unmapped_ids_decide_the_verdict_is_unknown(stage: Stage) -> None:
    stage.listener(mode=0o660, uid=0, gid=OTHERS)
    (alice,) = (who for who in PEOPLE if who.name == "alice, unmapped")
    assert alice.asks(stage.directory / "s") == (errno.EACCES, None)


def test_a_process_in_the_same_user_namespace_is_judged_with_our_ids(stage: Stage) -> None:
    # That the capability of its root counts hangs on whether its namespace knows the owner.
    stage.listener(mode=0o600, uid=FIRST + 5, gid=FIRST + 5)
    (root,) = (who for who in PEOPLE if who.name == "root")
    assert root.asks(stage.directory / "s", of_neighbour=True) == (0, 0)
