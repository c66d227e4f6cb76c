"""`explain` in a user namespace, where all unmapped owners are shown as the same id.

Its verdict is compared with the errno that the kernel returns to the same process. The verdict may
be unknown, but must not be wrong.
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

FIRST, COUNT = 100000, 65536  # as Docker, Podman and nspawn map them, including nobody (65534)
OWN_NOBODY = FIRST + NOBODY
ALICE, STAFF, OTHERS = 1001, 50, 60  # ids that no namespace here maps
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
    """Enter a user namespace with this id map, and become a user there."""
    enter_user_namespace(mapped, before)
    then()


def dumpable() -> None:
    """Let other processes with our credentials inspect us, as after an exec (PR_SET_DUMPABLE)."""
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Inside:
    """A client in a user namespace, and how it gets there."""

    name: str
    enter: Callable[[], None]

    def asks(self, path: Path, *, from_child: bool = False) -> Answer:
        """Return the errno of connect(2) and that of `explain`, in a process of this client.

        Args:
            path: to a socket.
            from_child: run `explain` in a child process there, about the first process.
        """
        with tempfile.TemporaryFile() as answers:
            child = os.fork()
            if not child:
                try:
                    self.enter()
                    dumpable()
                    told = _told_about_parent(path) if from_child else _told(path, None)
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
    """Run `explain` in a new process; every errno here fits into its exit status."""
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


CLIENTS = [
    Inside("root", lambda: into(become_root)),
    Inside("nobody", lambda: into(lambda: become(NOBODY))),
    Inside("a member of group nobody", lambda: into(lambda: become(5, [NOBODY]))),
    Inside("an ordinary user", lambda: into(lambda: become(5, [7]))),
    Inside("alice, unmapped", _alice_unmapped),
    Inside("alice as root", lambda: into(lambda: None, _alice, f"0 {ALICE} 1")),
]
OWNERS = [0, ALICE, FIRST, OWN_NOBODY]
GROUPS = [0, STAFF, OTHERS, FIRST, OWN_NOBODY]
MODES = [0o666, 0o600, 0o060]


@pytest.mark.parametrize("who", CLIENTS, ids=lambda who: who.name)
def test_a_verdict_inside_a_user_namespace_is_never_wrong(stage: Stage, who: Inside) -> None:
    known = 0
    for number, (owner, group, mode) in enumerate(product(OWNERS, GROUPS, MODES)):
        stage.listener(f"s{number}", mode, owner, group)
        kernel, told = who.asks(stage.directory / f"s{number}")
        assert told in {kernel, None}, (owner, group, oct(mode))
        known += told is not None
    assert known >= len(OWNERS) * len(GROUPS)  # at least where the mode is 0666


@pytest.mark.parametrize("who", CLIENTS, ids=lambda who: who.name)
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
    (alice,) = (each for each in CLIENTS if each.name == "alice, unmapped")
    assert alice.asks(stage.directory / "s") == (errno.EACCES, None)


def test_a_process_in_the_same_user_namespace_is_judged_with_our_ids(stage: Stage) -> None:
    # The capability of its root has an effect only if its namespace maps the owner.
    stage.listener(mode=0o600, uid=FIRST + 5, gid=FIRST + 5)
    (root,) = (each for each in CLIENTS if each.name == "root")
    assert root.asks(stage.directory / "s", from_child=True) == (0, 0)
