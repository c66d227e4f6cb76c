"""The listening control socket, which refuses a client beyond a limit as it is accepted."""

import socket
import time
from collections import Counter
from typing import TYPE_CHECKING

from localechod.control.interceptor import Interceptor
from localechod.limits import CONNECTION_BYTES, MOST_CONTROL_TIME
from localechod.localsocket.peer import credentials

if TYPE_CHECKING:
    from localechod.control.limits import Excess

# Clients that one event admits; each gets a transport, a protocol and a task.
_ADMITTED = 8


class ListeningSocket(socket.socket):
    """A listening socket whose `accept` returns only clients that the limits admit.

    asyncio would make a transport, and grpclib a protocol, for each client that is then refused: a
    user who connects over and over would keep all others waiting. It would also accept as many
    clients as the backlog has before traffic has its turn.

    One event refuses clients for MOST_CONTROL_TIME of the processor at most. To refuse one takes
    9 µs, and up to ten times as much where it has sent something: the kernel has to release that.

    Args:
        bound: a listening socket, which this one replaces.
        interceptor: has the limits, and reports refusals.
    """

    def __init__(self, bound: socket.socket, interceptor: Interceptor) -> None:
        super().__init__(bound.family, bound.type, bound.proto, bound.detach())
        self._interceptor = interceptor
        self._admitted = 0
        self._until = 0.0
        # Of this event, by user: why their first one was refused, and how many more of them were.
        self._refused: dict[int, Excess] = {}
        self._again: Counter[int] = Counter()

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a client.

        Raises:
            BlockingIOError: none waits, or as many were accepted as one event may bring.
            OSError: accept(2).
        """
        if not self._admitted:
            self._until = time.thread_time() + MOST_CONTROL_TIME
        try:
            return self._next()
        except OSError:  # the end of the event
            self._admitted = 0
            self._report()
            raise

    def _next(self) -> tuple[socket.socket, object]:
        while self._admitted < _ADMITTED:
            # accept() itself would look up two enumerations for each client.
            fd, address = self._accept()  # type: ignore[attr-defined]
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fd)
            if self._admits(client):
                self._admitted += 1
                return client, address
            client.close()
            if time.thread_time() >= self._until:
                break
        raise BlockingIOError

    def _report(self) -> None:
        for uid, count in self._again.items():
            self._interceptor.refuse_again(uid, self._refused[uid].reason, count)
        self._again.clear()
        self._refused.clear()

    def _admits(self, client: socket.socket) -> bool:
        who = credentials(client, supplementary=False)
        if who.uid in self._refused:
            self._again[who.uid] += 1
            return False
        limits = self._interceptor.limits
        excess = limits.spend(who.uid, CONNECTION_BYTES, time.monotonic())
        excess = excess or limits.too_many(who.uid)
        if excess:
            self._refused[who.uid] = excess
            self._interceptor.refuse(who, "connection", *excess)
        return not excess
