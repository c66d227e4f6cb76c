"""Passed descriptors (SCM_RIGHTS, unix(7)): their refusal, and the control data that has them.

Even a descriptor that is not kept has to be released. The kernel does that in the process that
reads the message, before its system call returns. To release a TCP socket with SO_LINGER takes as
many seconds as its sender likes; a packet socket, an inotify instance or a large memfd takes
milliseconds. So a sender of descriptors could stop their reader.
"""

import array
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress

# asm-generic/socket.h, since Linux 6.16; not in Python's socket module.
_SO_PASSRIGHTS = 83


def refuse_descriptors(sock: socket.socket) -> None:
    """Have the kernel refuse messages with descriptors to this socket: sendmsg(2) fails with EPERM.

    A connection has the option of its listener, as it was at connect(2). Before Linux 6.16 this
    does nothing.
    """
    with suppress(OSError):  # ENOPROTOOPT
        sock.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)


def allow_descriptors(sock: socket.socket, *, allowed: bool) -> None:
    """Let messages with descriptors to this socket pass, or refuse them again.

    A reader of descriptors has to have a signal end the waits of their releases.
    """
    if allowed:
        with suppress(OSError):  # ENOPROTOOPT
            sock.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 1)
    else:
        refuse_descriptors(sock)


def can_refuse() -> bool:
    """Tell whether `refuse_descriptors` has an effect: since Linux 6.16."""
    with socket.socket(socket.AF_UNIX) as sock, suppress(OSError):
        sock.getsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS)
        return True
    return False


def received(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    """Return the descriptors in control data."""
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def control(descriptors: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """Return control data that passes these descriptors."""
    rights = array.array("i", descriptors).tobytes()
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
