"""The relay between a client and a server; it keeps what the two ends would notice.

Kept: bytes, records and their boundaries, passed descriptors, half-close, back-pressure, and that
the other end has gone.
"""

import socket
from collections.abc import Callable

from localechod.tap.direction import (
    LARGEST,
    TO_CLIENT,
    TO_SERVER,
    Direction,
    Directions,
    Watcher,
)


class Relay:
    """Passes on what the sockets of a client and of a server send each other.

    Args:
        sockets: connected to the client and to the server, of the same type; owned from now on.
        watcher: hears of all that passes.
        directions: makes its two directions, `plain` or with faults.
        reset: makes the client's next read fail with ECONNRESET once `client` is closed.
        closed: called once, when both sockets have been closed.
    """

    def __init__(
        self,
        sockets: tuple[socket.socket, socket.socket],
        watcher: Watcher,
        directions: Directions,
        reset: Callable[[], None],
        closed: Callable[[], None],
    ) -> None:
        self._sockets = client, server = sockets
        self._reset = reset
        self._closed = closed
        self._open = {TO_SERVER, TO_CLIENT}
        for sock in self._sockets:
            _prepare(sock)
        self._directions: tuple[Direction, ...] = directions(client, server, watcher, self)

    def ended(self, direction: str, *, both: bool, reset: bool = False) -> None:
        """See Owner."""
        if reset and direction == TO_CLIENT:
            self._reset()
        self._open.discard(direction)
        if both or not self._open:
            self.close()

    def ignore_client(self) -> None:
        """See Owner."""
        self._directions[0].stop()

    def finish(self) -> None:
        """Pass on what a datagram client has sent, then close: its end cannot be noticed."""
        if self._directions:
            self._directions[0].finish()

    def close(self) -> None:
        """Close both sockets, with what was not passed on; a second call does nothing."""
        if self._directions:
            for direction in self._directions:
                direction.stop()
            self._directions = ()
            for sock in self._sockets:
                sock.close()
            self._closed()


def _prepare(sock: socket.socket) -> None:
    sock.setblocking(False)
    # As large as allowed, for records of a client with a large buffer of its own.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
    if sock.type == socket.SOCK_SEQPACKET:
        # An empty record reads as 0 bytes, as the end of file does, but has credentials.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
