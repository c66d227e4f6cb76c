"""Attacks on datagram endpoints."""

import ctypes
import socket
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.attacks.aim import Aim

DATAGRAM = "datagram"
_MANY = 100  # datagrams of one socket in its turn
_LINKS = 19  # the kernel follows 40, and counts twice if it has to walk again
_TANGLED = 128  # sockets: more than the daemon pins

# unshare(2). Python has it from 3.12 on.
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000


def _socket(name: str | bytes | None) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)
    if name is not None:
        sock.bind(name)
    return sock


def _flood(aim: Aim, socks: list[socket.socket], *, reads: bool) -> None:
    for sock in socks:
        sock.connect(aim.path(DATAGRAM))
    while aim.going_on():
        for sock in socks:
            with suppress(OSError):
                for _ in range(_MANY):
                    sock.send(b"x")
            with suppress(OSError):
                while reads:
                    sock.recv(100)


def unnamed(aim: Aim) -> None:
    """Send datagrams that cannot be answered."""
    _flood(aim, [_socket(None) for _ in range(aim.connections)], reads=False)


def named(aim: Aim) -> None:
    """Send datagrams, and read the replies."""
    _flood(aim, [_socket("") for _ in range(aim.connections)], reads=True)


def unread(aim: Aim) -> None:
    """Send datagrams, and read no reply."""
    _flood(aim, [_socket("") for _ in range(aim.connections)], reads=False)


def swapped(aim: Aim) -> None:
    """Replace the path that the reply goes to with a link to another user's socket."""
    victim = aim.directory.parent / "alice" / "0"
    with tempfile.TemporaryDirectory(prefix="mallory-", dir="/tmp") as name, ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o711)
        link = directory / "link"
        for at in range(aim.connections):
            if not aim.going_on():
                break
            path, away = directory / f"{at}", directory / f"{at}-away"
            sock = stack.enter_context(_socket(str(path)))
            path.chmod(0o777)
            while aim.going_on():
                with suppress(OSError):
                    sock.sendto(b"not for alice", aim.path(DATAGRAM))
                path.rename(away)
                link.symlink_to(victim)
                link.rename(path)
                with suppress(OSError):
                    sock.sendto(b"not for alice", aim.path(DATAGRAM))
                away.rename(path)


def tangled(aim: Aim) -> None:
    """Send from paths that take milliseconds to look up: long symbolic links in a row."""
    with tempfile.TemporaryDirectory(prefix="mallory-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o711)
        (directory / "x").mkdir()
        for at in range(_LINKS):
            (directory / f"{at}").symlink_to(f"{directory}/{'x/../' * 800}{at + 1}")
        (directory / f"{_LINKS}").mkdir()
        socks = [_socket(f"{directory}/0/{at}") for at in range(_TANGLED)]
        for path in (directory / f"{_LINKS}").iterdir():
            path.chmod(0o777)
        _flood(aim, socks, reads=True)
        for sock in socks:
            sock.close()


def foreign(aim: Aim) -> None:
    """Send from names of another network namespace that exist in the daemon's own.

    One name is that of another user's socket there, the other is the daemon's own endpoint.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_USER | _NEW_NET):
        raise OSError(ctypes.get_errno(), "unshare failed")
    own = f"\0localechod-{aim.directory.parent.name}"
    socks = [_socket(name.encode()) for name in (f"{own}-alice", own)]
    _flood(aim, socks, reads=False)
