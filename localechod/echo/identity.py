"""`reply = "identity"`: what the kernel tells of the sender of a message, as a line of JSON."""

import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from localechod.localsocket.peer import credentials

# asm-generic/socket.h
_SO_PEERSEC = 31
_SO_PEERPIDFD = 77  # since Linux 6.5

_LABEL = 1024  # bytes of a security label, at most


class Identity(msgspec.Struct, kw_only=True):
    """The fields of the line.

    Attributes:
        pid, uid, gid: of the sender.
        groups: all groups, sorted; null where the kernel does not tell them.
        pidfd_exact: the kernel has a pidfd of the very process, so that `pid` is no other's.
        security_label: such as SELinux has; null without one.
        descriptors: how many were passed with the message, and received.
        descriptor_kinds: what each is.
        descriptors_cut: more were passed, or all of them were refused.
    """

    pid: int
    uid: int
    gid: int
    groups: list[int] | None = None
    pidfd_exact: bool = False
    security_label: str | None = None
    descriptors: int
    descriptor_kinds: list[str]
    descriptors_cut: bool


def of_connection(sock: socket.socket, descriptors: Sequence[int], *, cut: bool) -> bytes:
    """Return the line about the peer of a connection, as it was at its connect(2).

    Args:
        sock: connected.
        descriptors: passed with the message.
        cut: more were passed, and not received.

    Raises:
        OSError: the socket is closed.
    """
    pid, uid, gid, groups = credentials(sock)
    line = _identity((pid, uid, gid), descriptors, cut=cut)
    line.groups = sorted(groups)
    line.pidfd_exact = _has_pidfd(sock)
    line.security_label = _label(sock)
    return _encoded(line)


def of_datagram(peer: tuple[int, int, int], descriptors: Sequence[int], *, cut: bool) -> bytes:
    """Return the line about a datagram's sender: of it the kernel tells pid, uid and gid only."""
    return _encoded(_identity(peer, descriptors, cut=cut))


def kind(descriptor: int) -> str:
    """Return what a descriptor is: "socket", "pipe", "memfd", "eventfd" and the like, or "file".

    proc(5) names it without asking its file system, which fstat(2) would do: that can block.
    """
    try:
        target = str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return "unknown"
    if target.startswith("/"):
        return "memfd" if target.startswith("/memfd:") else "file"
    name, _, rest = target.partition(":")
    return rest.strip("[]") if name == "anon_inode" else name


def _identity(peer: tuple[int, int, int], descriptors: Sequence[int], *, cut: bool) -> Identity:
    pid, uid, gid = peer
    kinds = [kind(each) for each in descriptors]
    return Identity(
        pid=pid,
        uid=uid,
        gid=gid,
        descriptors=len(kinds),
        descriptor_kinds=kinds,
        descriptors_cut=cut,
    )


def _encoded(line: Identity) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _has_pidfd(sock: socket.socket) -> bool:
    try:
        packed = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, 4)
    except OSError:  # ENOPROTOOPT before Linux 6.5; ESRCH: the process has ended
        return False
    os.close(int.from_bytes(packed, sys.byteorder))
    return True


def _label(sock: socket.socket) -> str | None:
    with suppress(OSError):  # ENOPROTOOPT: no security module here has labels
        label = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERSEC, _LABEL)
        return label.rstrip(b"\0").decode("utf-8", "backslashreplace")
    return None
