"""The credentials of a peer, from the real kernel and for real users."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from localechod.accounts import group_name, user_name
from localechod.localsocket.peer import Credentials, command, credentials, pid_namespace
from tests.integration.harness import needs_root

CONNECT_AS = """
import os, socket, sys
path, uid, gid, groups = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), eval(sys.argv[4])
os.setgroups(list(groups)); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
sock = socket.socket(socket.AF_UNIX)
sock.connect(path)
sock.recv(1)
"""


def test_the_peer_of_a_pair_is_this_process() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        mine = frozenset({os.getegid(), *os.getgroups()})
        assert credentials(one) == Credentials(os.getpid(), os.geteuid(), os.getegid(), mine)


@needs_root
@pytest.mark.parametrize(
    "groups", [[], [4, 20], range(10_000, 11_000)], ids=["none", "two", "1000"]
)
def test_ids_and_all_groups_of_another_user_are_found(sockdir: Path, groups: list[int]) -> None:
    path = str(sockdir / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        Path(path).chmod(0o666)
        server.listen()
        server.settimeout(10)
        arguments = [path, "65534", "1234", repr(list(groups))]
        with subprocess.Popen([sys.executable, "-c", CONNECT_AS, *arguments]) as client:
            accepted, _ = server.accept()
            with accepted:
                seen = credentials(accepted)
    assert seen == Credentials(client.pid, 65534, 1234, frozenset({1234, *groups}))


def test_a_socket_without_a_peer_has_invalid_ids() -> None:
    with socket.socket(socket.AF_UNIX) as lonely:
        assert credentials(lonely) == Credentials(0, 2**32 - 1, 2**32 - 1, frozenset({2**32 - 1}))


class OldKernel(socket.socket):
    """A socket of Linux before 4.13, without SO_PEERGROUPS."""

    def getsockopt(self, level: int, name: int, length: int = 0) -> bytes:  # type: ignore[override]
        if name == socket.SO_PEERCRED:
            return super().getsockopt(level, name, length)
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))


def test_without_so_peergroups_only_the_primary_group_is_known() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with other, OldKernel(fileno=one.detach()) as old:
        assert credentials(old).groups == {os.getegid()}


class Overtaken(socket.socket):
    """A socket that another thread closes between the two system calls, the worst moment."""

    def getsockopt(self, level: int, name: int, length: int = 0) -> bytes:  # type: ignore[override]
        answer = super().getsockopt(level, socket.SO_PEERCRED, length)
        if name == socket.SO_PEERCRED:
            return answer
        self.close()
        raise OSError(errno.ERANGE, os.strerror(errno.ERANGE))


def test_a_closed_socket_is_an_error_at_every_step() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with other, Overtaken(fileno=one.detach()) as sock:
        for _ in range(2):
            with pytest.raises(OSError, match="Bad file descriptor"):
                credentials(sock)


class Broken(socket.socket):
    def getsockopt(self, level: int, name: int, length: int = 0) -> bytes:  # type: ignore[override]
        if name == socket.SO_PEERCRED:
            return super().getsockopt(level, name, length)
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_an_unexpected_error_about_groups_is_raised() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with other, Broken(fileno=one.detach()) as sock, pytest.raises(OSError, match="Input/output"):
        credentials(sock)


def test_a_command_is_shown_escaped() -> None:
    script = "open('/proc/self/comm', 'wb').write(b'@a\\n\\x1b[1m'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert command(process.pid) == r"@a\n\x1b[1m"
        process.communicate(b"\n")
    assert command(process.pid) == ""


def test_ids_without_a_name_are_shown_as_numbers() -> None:
    assert user_name(0) == group_name(0) == "root"
    assert user_name(4_242_424) == group_name(4_242_424) == "4242424"
    assert user_name(2**32 - 1) == group_name(2**32 - 1) == "4294967295"


def test_a_pid_namespace_has_a_number_and_0_where_it_is_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Path("/proc/self/ns/pid").readlink() == Path(f"pid:[{pid_namespace()}]")

    def stat(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "stat", stat)
    assert pid_namespace() == 0
