"""The holders of a socket, compared with real processes that hold it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localechod.localsocket import diag, holders
from tests.integration.harness import as_user, needs_root

NOBODY = 65534


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


@pytest.fixture
def listener(sockdir: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "listener"))
        sock.listen()
        yield sock


def test_a_holder_is_this_process_and_a_closed_socket_has_none(listener: socket.socket) -> None:
    number = inode(listener)
    (holder,) = diag.holders(number)
    assert (holder.pid, holder.uid) == (os.getpid(), os.geteuid())
    assert holder.command == Path("/proc/self/comm").read_text().rstrip("\n")
    listener.close()
    assert diag.holders(number) == []


@needs_root
def test_all_holders_are_found_with_the_users_they_run_as(listener: socket.socket) -> None:
    # After a privilege drop, root owns /proc/PID, so its owner is not the process's user.
    drop = "import os; os.setresuid(65534, 65534, 65534); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", drop],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[listener.fileno()],
    ) as child:
        assert child.stdout
        child.stdout.readline()
        found = {
            holder.pid: holder.uid
            for holder in holders.find_holders({inode(listener)}).holders[inode(listener)]
        }
        child.communicate(b"\n")
    assert found == {os.getpid(): 0, child.pid: 65534}


def test_processes_and_descriptors_that_vanish_meanwhile_are_skipped() -> None:
    assert holders._descriptors(0) == []
    assert holders._effective_uid(0) is None
    assert holders._link("/proc/self/fd/99999") == ""
    assert holders._is_kernels(0)


@pytest.mark.parametrize("name", ["x\rUid:\t7\t7", "x\rUid:"])
def test_a_process_cannot_forge_its_user_by_its_name(listener: socket.socket, name: str) -> None:
    rename = "ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)"  # PR_SET_NAME
    code = f"import ctypes, sys; {rename}; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[listener.fileno()],
    ) as child:
        assert child.stdout
        child.stdout.readline()
        found = {holder.pid: holder.uid for holder in diag.holders(inode(listener))}
        child.communicate(b"\n")
    assert found == {os.getpid(): os.geteuid(), child.pid: os.geteuid()}


def test_many_sockets_are_searched_at_once(listener: socket.socket) -> None:
    one, other = socket.socketpair()
    with one, other:
        wanted = {inode(listener), inode(one), inode(other), 2**31}
        found = holders.find_holders(wanted).holders
    assert {number: [each.pid for each in held] for number, held in found.items()} == {
        inode_: ([] if inode_ == 2**31 else [os.getpid()]) for inode_ in wanted
    }


@needs_root
def test_unreadable_processes_are_counted_and_kernel_threads_are_not(
    listener: socket.socket,
) -> None:
    def hidden() -> int:
        return min(holders.find_holders({1}).unreadable, 250)

    of_nobody = as_user(NOBODY, [NOBODY], hidden)
    pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
    assert 0 < of_nobody <= len([pid for pid in pids if not holders._is_kernels(pid)]) + 50


@needs_root
def test_a_new_pid_namespace_is_recognized() -> None:
    code = "from localechod.localsocket import holders; assert holders.is_contained()"
    words = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
    subprocess.run(words, check=True, timeout=30)


@pytest.mark.parametrize(
    ("link", "contained"), [("pid:[4026531836]", False), ("pid:[4026532000]", True), (None, True)]
)
def test_the_initial_pid_namespace_is_recognized(
    monkeypatch: pytest.MonkeyPatch, link: str | None, contained: bool
) -> None:
    def readlink(_: str) -> str:
        if link is None:
            raise PermissionError
        return link

    monkeypatch.setattr(os, "readlink", readlink)
    assert holders.is_contained() == contained
