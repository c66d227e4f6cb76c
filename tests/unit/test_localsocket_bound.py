"""A bound socket removes its own file, and no other."""

import socket
from pathlib import Path

from localechod.localsocket.address import Address
from localechod.localsocket.bind import bind
from localechod.localsocket.bound import Bound, Request


def bound_at(path: Path) -> Bound:
    address = Address.parse(str(path))
    return bind(Request(address, socket.SOCK_STREAM, mode=0o640, uid=-1, gid=-1, backlog=5))


def test_only_our_own_file_is_removed(sockdir: Path) -> None:
    path = sockdir / "s"
    bound = bound_at(path)
    path.unlink()
    other = bound_at(path)
    assert not bound.remove()
    assert path.is_socket()
    assert other.remove()
    assert not path.exists()
    bound.close()
    other.close()


def test_remove_after_close_is_safe_and_a_second_remove_does_nothing(sockdir: Path) -> None:
    bound = bound_at(sockdir / "s")
    bound.sock.close()
    assert bound.remove()
    assert not bound.remove()
    assert list(sockdir.iterdir()) == []


def test_close_keeps_the_file_for_a_later_process_and_leaks_no_descriptor(sockdir: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    bound = bound_at(sockdir / "s")
    bound.close()
    bound.close()
    assert (sockdir / "s").is_socket()
    assert not bound.remove()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_file_of_an_activated_socket_is_never_removed(sockdir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sockdir / "s"))
        inherited = Bound(sock, Address.parse(str(sockdir / "s")))
        assert inherited.identity is None
        assert not inherited.remove()
    assert (sockdir / "s").is_socket()
