"""Connections that have ended for us, while their clients have not read the last replies.

The kernel keeps the replies after a close(2), as long as the client has its socket, and counts them
against this service: up to 210 KiB for each. If such a connection did not count against its user's
limit, a user could have any number of them, until the service is killed for its memory (MemoryMax=
in the unit). So it keeps its client's place until all is read.
"""

import asyncio
import socket
from collections.abc import Callable, Collection
from contextlib import suppress

from localechod.localsocket.closing import has_unread

# Seconds from one look to the next. No event tells that a client has read everything.
_SOONEST, _LATEST = 0.01, 1.0


class Lingering:
    """The ended connections of one listener.

    Args:
        loop: for a timer, which runs only while there are some.
        left: called with the uid of each that is closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, left: Callable[[int], None]) -> None:
        self._loop = loop
        self._left = left
        self._ended: list[tuple[socket.socket, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._pause = _LATEST

    def __len__(self) -> int:
        return len(self._ended)

    def add(self, sock: socket.socket, uid: int) -> None:
        """Take a connection; its client reads what was sent, and then end of file."""
        with suppress(OSError):  # ENOTCONN
            sock.shutdown(socket.SHUT_RDWR)
        self._ended.append((sock, uid))
        if self._timer is None or self._pause > _SOONEST:
            self._look_after(_SOONEST)

    def close(self) -> None:
        """Close all of them."""
        self._stop()
        self._close(self._ended)
        self._ended = []

    def _close(self, ended: Collection[tuple[socket.socket, int]]) -> None:
        for sock, uid in ended:
            sock.close()
            self._left(uid)

    def _look_after(self, pause: float) -> None:
        self._stop()
        self._pause = pause
        self._timer = self._loop.call_later(pause, self._look)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        before, self._ended = self._ended, []
        done: list[tuple[socket.socket, int]] = []
        for each in before:
            (self._ended if has_unread(each[0].fileno()) else done).append(each)
        self._stop()
        if self._ended:
            self._look_after(min(2 * self._pause, _LATEST))
        self._close(done)
