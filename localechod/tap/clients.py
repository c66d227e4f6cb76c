"""The client's socket, at the moment of its connect(2): taken, or replaced where that is forbidden.

A copy of the client's own socket is connected, so that all of its options stay (pidfd_getfd(2)).
Many containers forbid that call. There the descriptor is replaced by one end of a pair, which has
the type and the flags of the first, but not its options.
"""

import os
import socket
from contextlib import suppress
from typing import Protocol

from localechod.tap import supervision
from localechod.tap.caller import Caller, Place
from localechod.tap.meeting import Meeting
from localechod.tap.supervision import Call

_TIMEVAL = 16  # bytes of a struct timeval on 64 bits
_NO_TIMEOUT = bytes(_TIMEVAL)


class Client(Protocol):
    """A client's socket that is not connected yet.

    Attributes:
        type: a socket.SOCK_*.
        waits: a connect(2) waits for space in the backlog.
        timeout: how long, as SO_SNDTIMEO has it.
    """

    type: int
    waits: bool
    timeout: bytes

    def join(self) -> socket.socket:
        """Connect it to this process, while its call waits; return the other end.

        Raises:
            OSError: the client has gone, or its socket is not to be connected.
        """

    def reset(self) -> None:
        """Make the close of the other end a reset for the client, if that can be."""

    def close(self) -> None:
        """Forget the client, whose socket goes on."""


def find(caller: Caller, number: int, meeting: Meeting, listener: int, call: Call) -> Client | None:
    """Return the client's socket; None if it is none that can be connected: the kernel says why.

    Raises:
        OSError: the process may not be looked into, or has ended.
    """
    if not meeting.takes:
        place = caller.place(number)
        return place and Replaced(place, listener, call)
    sock = caller.socket(number)
    if sock is None or _is_used(sock):
        return None
    return Taken(sock, caller.pidfd(), number, meeting)


def _is_used(sock: socket.socket) -> bool:
    if sock.type == socket.SOCK_DGRAM:
        return False
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return True
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


class Taken:
    """A copy of the client's socket, until it is connected; then only where it was.

    A copy that is kept would keep the connection open.
    """

    def __init__(self, sock: socket.socket, pidfd: int, number: int, meeting: Meeting) -> None:
        self.type = int(sock.type)
        self.waits = os.get_blocking(sock.fileno())
        self.timeout = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL)
        self.sock = sock
        self._pidfd, self._number, self._meeting = pidfd, number, meeting
        self._inode = os.fstat(sock.fileno()).st_ino

    def join(self) -> socket.socket:
        """See Client."""
        with self.sock:
            return self._meeting.bring(self.sock)

    def reset(self) -> None:
        """See Client; a byte is left unread at the other end, as by a server that ends (unix(7)).

        Nothing happens where the process has closed the descriptor, or sends nothing more.
        """
        with (
            suppress(OSError),
            socket.socket(fileno=supervision.take(self._pidfd, self._number)) as sock,
        ):
            if os.fstat(sock.fileno()).st_ino == self._inode:
                sock.send(b"\0", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def close(self) -> None:
        """See Client."""
        self.sock.close()
        os.close(self._pidfd)


class Replaced:
    """A descriptor that becomes one end of a pair."""

    timeout = _NO_TIMEOUT

    def __init__(self, place: Place, listener: int, call: Call) -> None:
        self._place, self._listener, self._call = place, listener, call
        self.type = place.type
        self.waits = not place.flags & os.O_NONBLOCK

    def join(self) -> socket.socket:
        """See Client."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, self.type)
        with theirs:
            theirs.setblocking(self.waits)
            try:
                supervision.replace(
                    self._listener, self._call, theirs.fileno(), self._place.number,
                    on_exec=bool(self._place.flags & os.O_CLOEXEC),
                )  # fmt: skip
            except OSError:
                ours.close()
                raise
        return ours

    def reset(self) -> None:
        """See Client; not possible without the client's descriptor."""

    def close(self) -> None:
        """See Client."""
