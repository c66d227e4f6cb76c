"""A socket that systemd has bound for an endpoint, and keeps open whatever this process does.

So it cannot be closed to clients. While its endpoint is stopped, clients would connect or send, and
wait for ever. Instead they are turned away at once: a connection is closed, a datagram dropped.
"""

import errno
import select
import socket
from typing import TYPE_CHECKING

from localechod.echo.counters import Counters
from localechod.echo.reactor import Reactor
from localechod.echo.reasons import Reason
from localechod.errors import SocketError
from localechod.localsocket.adopt import wrap_activated
from localechod.localsocket.bound import Bound
from localechod.localsocket.closing import hang_up

if TYPE_CHECKING:
    import asyncio

# Clients turned away in one round of the loop, so that a flood delays no reply for long.
_BATCH = 16

# Without a free descriptor accept(2) fails at once, and the socket stays readable. Instead of
# spinning, it is not accepted from for so many seconds.
_PAUSE = 1.0

REMEDY = "systemctl restart localechod.socket"
HINT = (
    "systemd keeps its socket open, and clients are turned away: `systemctl stop "
    "localechod.socket` closes it, and stops the service"
)


class ActivatedSocket:
    """Has the activated socket for as long as the endpoint exists, serving or not.

    Args:
        reactor, counters: the endpoint's.
        bound: the socket; it belongs to this object from now on.
    """

    def __init__(self, reactor: Reactor, counters: Counters, bound: Bound) -> None:
        self._reactor = reactor
        self._counters = counters
        self._address = bound.address
        self._sock = bound.sock
        bound.remove()  # closes the descriptor of its file only; `bound` opens the file again
        self._turning_away = False
        self._pause_timer: asyncio.TimerHandle | None = None

    def bound(self) -> Bound:
        """Return a duplicate to serve, with the socket's file as it is now.

        Raises:
            SocketError: EMFILE or ENFILE.
        """
        try:
            return wrap_activated(self._sock.dup(), self._address)
        except OSError as error:
            raise SocketError("dup", error.errno or errno.EIO, str(self._address)) from error

    def turn_away(self) -> None:
        """Turn clients away until `stand_back` is called."""
        if not self._turning_away:
            self._turning_away = True
            self._watch()

    def stand_back(self) -> None:
        """Turn no more clients away: the endpoint serves them."""
        if self._turning_away:
            self._turning_away = False
            if self._pause_timer is None:
                self._reactor.unregister(self._sock.fileno())
            else:
                self._pause_timer.cancel()
                self._pause_timer = None

    def close(self) -> None:
        """Close this process's descriptor; waiting clients stay in systemd's."""
        self.stand_back()
        self._sock.close()

    def _watch(self) -> None:
        self._pause_timer = None
        self._reactor.register(self._sock.fileno(), select.EPOLLIN, self)

    def serve(self, _events: int) -> None:
        """Turn clients away; see Handler."""
        for _ in range(_BATCH):
            try:
                if self._sock.type == socket.SOCK_DGRAM:
                    self._sock.recv(1)  # the kernel discards the rest, and passed descriptors
                else:
                    hang_up(self._sock.accept()[0])
            except BlockingIOError:
                return
            except OSError:
                self._reactor.unregister(self._sock.fileno())
                self._pause_timer = self._reactor.loop.call_later(_PAUSE, self._watch)
                return
            self._counters.errors[Reason.ENDPOINT_STOPPED] += 1

    def failed(self, _error: Exception) -> None:
        """See Handler: the client whose turn it was has been accepted, and is closed."""
        self._counters.errors[Reason.INTERNAL_ERROR] += 1
