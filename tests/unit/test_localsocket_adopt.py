"""Taking over a socket that an earlier process has bound, and removing one."""

import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from localechod.errors import SocketError
from localechod.localsocket.address import Address
from localechod.localsocket.adopt import adopt, close_and_remove
from localechod.localsocket.bind import bind
from localechod.localsocket.bound import Bound, Request

TYPES = [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET]


def wanted(path: Path, kind: int = socket.SOCK_STREAM) -> Request:
    return Request(
        Address.parse(str(path)), kind, mode=0o640, uid=os.geteuid(), gid=os.getegid(), backlog=5
    )


def left_behind(request: Request) -> int:
    """Bind as an earlier process that has ended since; return its only descriptor."""
    bound = bind(request)
    descriptor = os.dup(bound.sock.fileno())
    bound.close()
    return descriptor


@pytest.mark.parametrize("kind", TYPES)
def test_a_matching_socket_is_taken_over_with_its_file(sockdir: Path, kind: int) -> None:
    request = wanted(sockdir / "s", kind)
    descriptor = left_behind(request)
    before = (sockdir / "s").stat()
    bound = adopt(descriptor, request)
    assert bound.identity == (before.st_dev, before.st_ino)
    with socket.socket(socket.AF_UNIX, kind) as client:
        client.connect(str(sockdir / "s"))
        if kind == socket.SOCK_DGRAM:
            client.send(b"there")
            assert bound.sock.recv(10) == b"there"
        else:
            bound.sock.accept()[0].close()
    assert not bound.sock.getblocking()
    assert bound.remove()
    assert not (sockdir / "s").exists()
    bound.close()


def test_an_abstract_socket_is_taken_over(sockdir: Path) -> None:
    request = replace(wanted(sockdir / "s"), address=Address.parse(f"@{sockdir}"))
    bound = adopt(left_behind(request), request)
    assert bound.identity is None
    bound.close()


def test_clients_that_wait_in_the_backlog_are_kept(sockdir: Path) -> None:
    request = wanted(sockdir / "s")
    descriptor = left_behind(request)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(sockdir / "s"))
        bound = adopt(descriptor, request)
        bound.sock.accept()[0].close()
    bound.close()


def refused(descriptor: int, request: Request) -> str:
    with pytest.raises(SocketError) as caught:
        adopt(descriptor, request)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    return str(caught.value)


def test_a_socket_with_another_mode_is_refused_and_its_file_removed(sockdir: Path) -> None:
    request = wanted(sockdir / "s")
    text = refused(left_behind(request), replace(request, mode=0o666))
    assert "has mode 0640 instead of 0666" in text
    assert not (sockdir / "s").exists()
    fresh = bind(replace(request, mode=0o666))
    assert stat.S_IMODE((sockdir / "s").stat().st_mode) == 0o666
    fresh.close()


def test_a_socket_with_another_owner_is_refused(sockdir: Path) -> None:
    request = wanted(sockdir / "s")
    assert "has another owner" in refused(
        left_behind(request), replace(request, uid=request.uid + 1)
    )


def test_a_socket_of_another_type_or_address_is_refused_and_no_file_touched(sockdir: Path) -> None:
    request = wanted(sockdir / "s")
    text = refused(left_behind(request), replace(request, type=socket.SOCK_SEQPACKET))
    assert "is of type 1 instead of 5" in text
    other = refused(left_behind(wanted(sockdir / "t")), request)
    assert f"is bound to {sockdir}/t" in other


def test_a_replaced_file_is_left_alone(sockdir: Path) -> None:
    request = wanted(sockdir / "s")
    descriptor = left_behind(request)
    (sockdir / "s").unlink()
    other = bind(request)
    assert "has lost its file" in refused(descriptor, request)
    assert (sockdir / "s").stat().st_ino == (other.identity or (0, 0))[1]
    other.close()


def test_a_socket_whose_file_is_missing_is_refused(sockdir: Path) -> None:
    request = wanted(sockdir / "s")
    descriptor = left_behind(request)
    (sockdir / "s").unlink()
    assert "has lost its file" in refused(descriptor, request)


def test_a_socket_of_another_family_is_refused(sockdir: Path) -> None:
    with socket.socket(socket.AF_INET) as inet:
        text = refused(os.dup(inet.fileno()), wanted(sockdir / "s"))
    assert "is not a Unix domain socket" in text
    pipe = os.pipe()
    with pytest.raises(OSError, match="non-socket"):
        adopt(pipe[0], wanted(sockdir / "s"))
    for descriptor in pipe:
        os.close(descriptor)


def test_an_unneeded_socket_is_removed_with_its_file(sockdir: Path) -> None:
    request = wanted(sockdir / "s")
    descriptor = left_behind(request)
    close_and_remove(descriptor)
    assert not (sockdir / "s").exists()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    close_and_remove(left_behind(replace(request, address=Address.parse(f"@{sockdir}"))))


def test_an_unneeded_socket_leaves_the_file_of_another_one(sockdir: Path) -> None:
    request = wanted(sockdir / "s")
    descriptor = left_behind(request)
    (sockdir / "s").unlink()
    other: Bound = bind(request)
    close_and_remove(descriptor)
    assert (sockdir / "s").exists()
    other.close()
