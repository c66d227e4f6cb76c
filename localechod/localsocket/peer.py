"""Who is at the other end: what the kernel knows about a peer, and how to name it to people.

The kernel's answer is a snapshot of the moment of connect(2) (for a client's view of a server: of
listen(2)). The process may have gone since and its pid may belong to another one. Ids are safe
to decide by; the pid, and the command found through it, are only good enough to show.
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
_GETSOCKOPT_LIMIT = 1024  # the largest buffer that Python's getsockopt agrees to: 256 groups
_NGROUPS_MAX = 65536  # linux/limits.h


class Credentials(NamedTuple):
    """The identity of a peer. `groups` includes `gid`.

    pid is 0 where the peer lives in a pid namespace that we cannot see into; on a socket that is
    not connected, uid and gid are 2**32 - 1, which is nobody's.
    """

    pid: int
    uid: int
    gid: int
    groups: frozenset[int]


def credentials(sock: socket.socket, *, supplementary: bool = True) -> Credentials:
    """Ask the kernel who connected (SO_PEERCRED, SO_PEERGROUPS; unix(7), socket(7)).

    Args:
        sock: connected.
        supplementary: whether to ask for more groups than the primary one, by a second call.

    Raises:
        OSError: the socket is closed.
    """
    ucred = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(ucred)
    groups = frozenset((gid, *_groups(sock))) if supplementary else _single_group(gid)
    return Credentials(pid, uid, gid, groups)


@lru_cache(maxsize=1024)
def _single_group(gid: int) -> frozenset[int]:
    """Return one set for all who are told by one group: it has 216 bytes, a fifth of a client."""
    return frozenset((gid,))


def _groups(sock: socket.socket) -> tuple[int, ...]:
    try:
        packed = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GETSOCKOPT_LIMIT)
    except OSError as error:
        if error.errno == errno.ERANGE:
            packed = _many_groups(sock)
        elif error.errno in {errno.ENOPROTOOPT, errno.ENODATA}:
            # An old kernel, or a socket that has no peer: nothing more is known than the gid.
            packed = b""
        else:
            raise
    return struct.unpack(f"{len(packed) // 4}I", packed)


def _many_groups(sock: socket.socket) -> bytes:
    """Read a longer list than Python's own getsockopt can (directory services like many groups)."""
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
    """Return the command name of a process, escaped; "" where it is gone or hidden from us.

    A process chooses this name itself (prctl(2), PR_SET_NAME): show it, never decide by it.
    """
    try:
        comm = Path(f"/proc/{pid}/comm").read_bytes()
    except OSError:
        return ""
    return escape(comm.removesuffix(b"\n").decode("utf-8", "surrogateescape"))


def pid_namespace() -> int:
    """Return the number of the namespace that the pids we are told are of; 0 where not known."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
