"""The kernel's list of sockets, compared with real sockets."""

import errno
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

import localechod
from localechod.localsocket import diag, netlink
from localechod.localsocket.entry import diag_identity
from localechod.text import escape
from tests.integration.harness import needs_root

SOURCE = str(Path(localechod.__file__).parents[1])


def inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino


def file_of(path: Path) -> tuple[int, int]:
    # Not st_dev: on overlayfs, which /tmp of a booted machine may be on, it is not the kernel's.
    return diag_identity(bytes(path))


def listed(sock: socket.socket) -> diag.DiagSocket:
    return next(each for each in diag.sockets() if each.inode == inode(sock))


@pytest.fixture
def listener(sockdir: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "listener"))
        sock.listen(7)
        yield sock


def test_a_listener_has_its_file_backlog_owner_and_waiting_clients(
    listener: socket.socket, sockdir: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        one.connect(listener.getsockname())
        two.connect(listener.getsockname())
        seen = listed(listener)
        assert listed(one).peer == 0
        assert set(seen.pending) == {inode(one), inode(two)}
    assert seen.name == bytes(sockdir / "listener")
    assert (seen.device, seen.file_inode) == file_of(sockdir / "listener")
    assert (seen.type, seen.state) == (socket.SOCK_STREAM, diag.STATE_LISTEN)
    assert (seen.queue, seen.backlog) == (2, 7)
    assert seen.uid == os.geteuid()


def test_a_pair_has_its_peer_and_the_unread_bytes() -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with one, other:
        one.send(b"12345")
        seen = listed(other)
        assert (seen.name, seen.device, seen.file_inode) == (None, None, None)
        assert (seen.state, seen.peer, seen.queue) == (diag.STATE_ESTABLISHED, inode(one), 5)


@pytest.mark.parametrize(
    "directory",
    ["/tmp", "/dev/shm", pytest.param("/run", marks=needs_root)],  # noqa: S108 - file systems
)
def test_a_socket_is_found_by_its_file_on_any_file_system(directory: str) -> None:
    path = Path(directory) / f"localsocket-test-{os.getpid()}"
    if not os.access(directory, os.W_OK):
        pytest.skip(f"no right to write to {directory}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        try:
            (found,) = diag.bound_to(*file_of(path))
        finally:
            path.unlink()
        assert found.inode == inode(sock)
    assert found.name == bytes(path)


def test_a_socket_is_found_by_any_name_of_its_file(listener: socket.socket, sockdir: Path) -> None:
    renamed = (sockdir / "listener").rename(sockdir / "renamed")
    (found,) = diag.bound_to(*file_of(renamed))
    assert found.inode == inode(listener)
    assert found.name == bytes(sockdir / "listener")


def test_a_64_bit_inode_number_is_compared_by_its_low_32_bits(
    listener: socket.socket, sockdir: Path
) -> None:
    device, number = file_of(sockdir / "listener")
    assert diag.bound_to(device, number + 2**32)
    assert not diag.bound_to(device, number + 1)
    assert not diag.bound_to(device + 1, number)


def test_our_own_socket_is_found_by_its_inode(listener: socket.socket, sockdir: Path) -> None:
    assert diag.of_socket(listener).is_bound_to(*file_of(sockdir / "listener"))


def test_a_socket_of_another_family_is_not_found() -> None:
    with (
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as other,
        pytest.raises(FileNotFoundError),
    ):
        diag.of_socket(other)


def test_a_forged_name_is_listed_by_proc_but_not_by_netlink(sockdir: Path) -> None:
    fake = f"/run/forged-{os.getpid()}.sock"
    line = f"0000000000000000: 00000002 00000000 00010000 0001 01 4242 {fake}"
    name = b"\0x\n" + line.encode()
    with socket.socket(socket.AF_UNIX) as forger:
        forger.bind(name)
        assert line in Path("/proc/net/unix").read_text(errors="replace").splitlines()
        assert not diag.named(fake.encode())
        (found,) = diag.named(name)
        assert found.inode == inode(forger)
        assert "\n" not in escape(found.name or b"")


@pytest.mark.skipif(not shutil.which("ss"), reason="ss (iproute2) is not installed")
def test_ss_lists_the_same_sockets(listener: socket.socket) -> None:
    one, other = socket.socketpair()
    with one, other, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as abstract:
        abstract.bind(f"\0localsocket-test-{os.getpid()}")
        ours = {inode(each) for each in (listener, one, other, abstract)}
        ss = subprocess.run(["ss", "-xaH"], capture_output=True, text=True, check=True)
        theirs = {
            int(columns[5]): columns[4].removesuffix("*") or None
            for columns in map(str.split, ss.stdout.splitlines())
            if len(columns) > 5 and columns[5].isdecimal()  # others' names may have a newline
        }
        mine = {each.inode: each.name for each in diag.sockets() if each.inode in ours}
    assert mine.keys() == ours <= theirs.keys()
    for number, name in mine.items():
        assert theirs[number] == (escape(name) if name else None)


GIANT = """
import socket, sys
from localechod.localsocket import diag
from localechod.localsocket.address import Address
from localechod.localsocket.entry import DirectoryEntry
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1])
sock.listen(4096)
print("listening", flush=True)
sys.stdin.readline()
(found,) = diag.bound_to(*DirectoryEntry.open(Address.parse(sys.argv[1])).pin().diag_identity)
(seen,) = diag.sockets()
print(found.queue, len(seen.pending))
"""


@needs_root
def test_a_thousand_waiting_clients_do_not_shorten_the_list(
    sockdir: Path,
) -> None:
    # In a new network namespace, the listener is the first socket of the list. A request that
    # includes its waiting clients would end the kernel's list before the first socket.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    path, clients = str(sockdir / "giant"), []
    try:
        with subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", GIANT, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SOURCE},
        ) as process:
            assert process.stdout
            if process.stdout.readline() != "listening\n":
                pytest.skip("network namespaces are not to be had here")
            for _ in range(1200):
                clients.append(socket.socket(socket.AF_UNIX))
                clients[-1].connect(path)
            assert process.communicate("\n", timeout=30)[0] == "1200 1200\n"
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Restless:
    """A kernel whose list changes, while it is read, a given number of times."""

    changes = 0
    questions = 0

    def __init__(self, protocol: int) -> None:
        assert protocol == 4

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, *_: object, dump: bool, **__: object) -> Iterator[bytes]:
        assert dump
        type(self).questions += 1
        if self.questions <= self.changes:
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))
        return iter(())


@pytest.mark.parametrize(("changes", "questions"), [(0, 1), (3, 4)])
def test_a_list_that_changed_is_requested_again(
    monkeypatch: pytest.MonkeyPatch, changes: int, questions: int
) -> None:
    monkeypatch.setattr(Restless, "changes", changes)
    monkeypatch.setattr(Restless, "questions", 0)
    monkeypatch.setattr(netlink, "NetlinkSocket", Restless)
    assert diag.named(b"x") == []
    assert Restless.questions == questions


def test_a_list_that_changes_every_time_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Restless, "changes", 99)
    monkeypatch.setattr(Restless, "questions", 0)
    monkeypatch.setattr(netlink, "NetlinkSocket", Restless)
    with pytest.raises(InterruptedError, match="changed each time"):
        diag.named(b"x")
    assert Restless.questions == 4
