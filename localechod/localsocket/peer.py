"""The credentials of a peer, and the name of its process.

The kernel took them at connect(2) (for a client's view of a server: at listen(2)). The process may
have ended since, and another one may have its pid. A decision may depend on the uid and the
groups; the pid, and the command found through it, are only to be shown.
"""

import ctypes
import errno
import os
import socket
import struct
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from localechod.text import escape

_SO_PEERGROUPS = 59  # asm-generic/socket.h, since Linux 4.13; not in Python's socket module
_UCRED = struct.Struct("iII")  # pid_t, uid_t, gid_t
_GETSOCKOPT_LIMIT = 1024  # the largest buffer that Python's getsockopt accepts: 256 groups
_NGROUPS_MAX = 65536  # linux/limits.h


class Credentials(NamedTuple):
    """The identity of a peer. `groups` includes `gid`.

    pid is 0 where the peer is in a pid namespace whose processes we cannot see. On a socket that
    is not connected, uid and gid are 2**32 - 1, which is no valid id.
    """

    pid: int
    uid: int
    gid: int
    groups: frozenset[int]


def credentials(sock: socket.socket, *, supplementary: bool = True) -> Credentials:
    """Return the peer's credentials (SO_PEERCRED, SO_PEERGROUPS; unix(7), socket(7)).

    Args:
        sock: connected.
        supplementary: include the supplementary groups, which needs a second system call.

    Raises:
        OSError: the socket is closed.
    """
    ucred = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(ucred)
    groups = frozenset((gid, *_groups(sock))) if supplementary else _single_group(gid)
    return Credentials(pid, uid, gid, groups)


def peer_uid(fd: int) -> int:
    """Return the uid of a descriptor's peer; our own for one that has none.

    Args:
        fd: of a local socket (a listening one has the credentials of listen(2)), or of anything.
    """
    try:
        sock = socket.socket(fileno=fd)
    except OSError:  # ENOTSOCK
        return os.geteuid()
    try:
        return credentials(sock, supplementary=False).uid
    finally:
        sock.detach()


@lru_cache(maxsize=1024)
def _single_group(gid: int) -> frozenset[int]:
    """Return a shared set for all peers with this group: it has 216 bytes, a fifth of a client."""
    return frozenset((gid,))


def _groups(sock: socket.socket) -> tuple[int, ...]:
    try:
        packed = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GETSOCKOPT_LIMIT)
    except OSError as error:
        if error.errno == errno.ERANGE:
            packed = _many_groups(sock)
        elif error.errno in {errno.ENOPROTOOPT, errno.ENODATA}:
            # An old kernel, or a socket without a peer: only the gid is known.
            packed = b""
        else:
            raise
    return struct.unpack(f"{len(packed) // 4}I", packed)


def _many_groups(sock: socket.socket) -> bytes:
    """Read a longer list than Python's getsockopt can, as users of directory services have."""
    buffer = ctypes.create_string_buffer(_NGROUPS_MAX * 4)
    length = ctypes.c_uint32(len(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.getsockopt(
        sock.fileno(), socket.SOL_SOCKET, _SO_PEERGROUPS, buffer, ctypes.byref(length)
    )
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw[: length.value]


def command(pid: int) -> str:
    """Return the command name of a process, escaped; "" where it has ended or is hidden.

    A process sets this name itself (prctl(2), PR_SET_NAME): show it, never decide by it.
    """
    try:
        comm = Path(f"/proc/{pid}/comm").read_bytes()
    except OSError:
        return ""
    return escape(comm.removesuffix(b"\n").decode("utf-8", "surrogateescape"))


def pid_namespace() -> int:
    """Return the number of our pid namespace, to which all pids belong; 0 where unknown."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
