"""The listening control socket, which refuses a client beyond a limit as it is accepted."""

import socket
import time

from localechod.control.interceptor import Interceptor
from localechod.limits import CONNECTION_BYTES
from localechod.localsocket.peer import credentials

# Clients of one event: so many are admitted, or refused; to refuse one takes 13 µs. An admitted one
# gets a transport, a protocol and a task.
_ADMITTED = 8
_REFUSED = 64


class ListeningSocket(socket.socket):
    """A listening socket whose `accept` returns only clients that the limits admit.

    asyncio would make a transport, and grpclib a protocol, for each client that is then refused: a
    user who connects over and over would keep all others waiting. It would also accept as many
    clients as the backlog has before traffic has its turn.

    Args:
        bound: a listening socket, which this one replaces.
        interceptor: has the limits, and reports refusals.
    """

    def __init__(self, bound: socket.socket, interceptor: Interceptor) -> None:
        super().__init__(bound.family, bound.type, bound.proto, bound.detach())
        self._interceptor = interceptor
        self._admitted = 0

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a client.

        Raises:
            BlockingIOError: none waits, or as many were accepted as one event may bring.
            OSError: accept(2).
        """
        if self._admitted == _ADMITTED:
            self._admitted = 0
            raise BlockingIOError
        for _ in range(_REFUSED):
            try:
                client, address = super().accept()
            except BlockingIOError:
                break
            if self._admits(client):
                self._admitted += 1
                return client, address
            client.close()
        self._admitted = 0
        raise BlockingIOError

    def _admits(self, client: socket.socket) -> bool:
        who, limits = credentials(client, supplementary=False), self._interceptor.limits
        excess = limits.spend(who.uid, CONNECTION_BYTES, time.monotonic())
        excess = excess or limits.too_many(who.uid)
        if excess:
            self._interceptor.refuse(who, "connection", *excess)
        return not excess
