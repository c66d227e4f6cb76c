"""The reactor: what serves the sockets of all endpoints, and the event loop's selector.

It serves SEQPACKET, which asyncio does not. It also controls what asyncio's transports hide: which
connection is served next, when to stop reading, and what a descriptor costs. docs/performance.md
compares its speed with that of others.
"""

import asyncio
import logging
import os
import select
import signal
import socket
import time

from localechod.echo import descriptors
from localechod.echo.fastpath import Handler, Poller
from localechod.echo.peer_log import NOBODY, PeerLog, Topic

# Seconds that a release may wait, from one signal to the next.
_RELEASE = 0.05

_UNSERVED = Topic(name="descriptor", level=logging.ERROR)


class Reactor(Poller):
    """Serves descriptors, those of each endpoint in turn; see Poller in portable/poller.py.

    Attributes:
        loop: the event loop that waits by it; eventloop.py sets it.
        ceiling: the lowest reserved descriptor. The system allocates the lowest free number, so
            clients get those below.
        peer_log: where lines go that a peer can cause; all children share one.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, parent: "Reactor | None" = None, busy_poll: float = 0.0) -> None:
        super().__init__(parent, busy_poll)
        self._above = parent
        self.ceiling = descriptors.ceiling(descriptors.limit())
        self._tight = True
        self.peer_log: PeerLog = PeerLog() if parent is None else parent.peer_log
        if parent is not None:
            self.loop = parent.loop

    def child(self) -> "Reactor":
        """Return a reactor for some of the descriptors, which gets a bounded share of the time."""
        return type(self)(self)

    def note_fd(self, fd: int) -> None:
        """Note that a client has this descriptor; all children share one table."""
        if self._above is not None:
            self._above.note_fd(fd)
        else:
            self._tight = self._tight or fd >= self.ceiling - 1

    def has_free_descriptor(self) -> bool:
        """Whether a descriptor is free for a client; asks the kernel only if few are left."""
        if self._above is not None:
            return self._above.has_free_descriptor()
        if self._tight:
            try:
                lowest = os.dup(0)
            except OSError:
                return False
            os.close(lowest)
            self._tight = lowest >= self.ceiling
        return not self._tight

    def interrupt_releases(self) -> None:
        """From now on, end waits of the kernel that releases of descriptors cause (rights.py)."""
        if self._above is not None:
            self._above.interrupt_releases()
        elif not self.alarm:
            signal.signal(signal.SIGALRM, lambda _number, _frame: self._stop_alarm_if_idle())
            self.alarm = _RELEASE

    def _stop_alarm_if_idle(self) -> None:
        """An idle process is not woken up; the end of its sleep starts the timer again.

        Between two sleeps the timer goes on, however long that is: more than one release may wait.
        """
        if self.sleeping and time.monotonic() - self.served_at > _RELEASE / 2:
            self.stop_alarm()
            self.alarm = _RELEASE

    def stop_alarm(self) -> None:
        """Have no more signals: at the end of a process, one would kill it."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.alarm = 0.0

    def handler_failed(self, fd: int, handler: Handler, error: Exception) -> None:
        """Let a handler end what it cannot serve; everything else goes on."""
        try:
            handler.failed(error)
        except Exception as another:  # noqa: BLE001 - whatever it is, the others are served
            text = f"descriptor {fd} is not served any more"
            self.peer_log.write(_UNSERVED, NOBODY, lambda: text, error=another)
            if fd in self:
                self.unregister(fd)


class Pulse:
    """The watchdog's probe of the data plane: a byte that has to be read by way of the epoll.

    An event loop that runs its timers may still have stopped serving its sockets, so a timer alone
    proves nothing. The byte does not wait behind asyncio's own events, of which one is handled at a
    time: clients of the control socket can cause very many.
    """

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._ours, self._echo = socket.socketpair()
        self._ours.setblocking(False)
        self._echo.setblocking(False)
        self._answered: asyncio.Future[None] | None = None
        reactor.register(self._echo.fileno(), select.EPOLLIN, self)

    async def beat(self) -> None:
        """Return when the byte has been read; the caller sets the deadline."""
        self._answered = self._reactor.loop.create_future()
        self._ours.send(b"?")
        await self._answered

    def close(self) -> None:
        """Close both ends."""
        self._reactor.unregister(self._echo.fileno())
        self._ours.close()
        self._echo.close()

    def serve(self, _events: int) -> None:
        """Read the byte, and have `beat` return; see Handler."""
        self._echo.recv(1)
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    def failed(self, error: Exception) -> None:
        """Let the watchdog end the service: without this probe nothing shows that it is well."""
        raise error
