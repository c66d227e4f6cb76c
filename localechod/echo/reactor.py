"""The reactor: an epoll of its own, which the event loop watches as one readable descriptor.

It serves SEQPACKET, which neither asyncio nor uvloop does. It also controls what their transports
hide: which connection is served next, when to stop reading, and what a descriptor costs.
docs/performance.md compares its speed with that of others.
"""

import asyncio
import os
import resource
import select
import socket
import time

from localechod.echo.fastpath import Callback, dispatch

# Events served in one round: enough to spread the cost of a round of the event loop, and few enough
# that the control plane and signals never wait long. A child serves fewer: a flood in one child
# delays a reply in another by no more than this.
_BATCH = 64
CHILD_BATCH = 16

# For how many seconds rounds follow each other before the event loop continues: about a hundred
# small messages, or one batch of large ones.
_SLICE = 0.0002

# Descriptors that are reserved: the control plane may need about a hundred for its connections, and
# calls and look-ups open some. Of a small limit, a quarter is reserved.
_RESERVE = 128


class Reactor:
    """Calls a callback for each descriptor that is ready, level-triggered.

    Args:
        busy_poll: for how many seconds after the last event to poll before sleeping.

    Attributes:
        now: time.monotonic() at the start of the current round, in seconds; reading the clock for
            each message would cost more than the precision is worth.
        ceiling: the lowest reserved descriptor. The system allocates the lowest free number, so
            clients get those below.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        parent: "Reactor | None" = None,
        *,
        busy_poll: float = 0.0,
    ) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._parent = parent
        self._batch = _BATCH if parent is None else CHILD_BATCH
        self._busy_poll = busy_poll
        self._patience = 0.0
        self._again: asyncio.Handle | None = None
        self.loop = loop
        self.now = time.monotonic()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.ceiling = limit - min(_RESERVE, limit // 4)
        self._tight = True
        if parent is None:
            self.resume()
        else:
            parent.register(self._epoll.fileno(), select.EPOLLIN, self._dispatch)

    def child(self) -> "Reactor":
        """Return a reactor for some of the descriptors, which gets a bounded share of the time.

        In a single epoll all ready descriptors form one queue, so an endpoint with a thousand of
        them delays every other by a thousand. Children are served in rotation instead. Close a
        child before its parent.

        Raises:
            OSError: EMFILE, ENFILE, ENOMEM, ENOSPC; epoll_create(2), epoll_ctl(2).
        """
        return Reactor(self.loop, self)

    def __contains__(self, fd: int) -> bool:
        return fd in self._callbacks

    def register(self, fd: int, events: int, callback: Callback) -> None:
        """Watch a descriptor; the callback gets the events that are ready (select.EPOLLIN ...).

        Raises:
            OSError: ENOSPC or ENOMEM, epoll_ctl(2).
        """
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def modify(self, fd: int, events: int) -> None:
        """Watch a registered descriptor for other events."""
        self._epoll.modify(fd, events)

    def unregister(self, fd: int) -> None:
        """Stop watching a registered descriptor; it has to be still open."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def pause(self) -> None:
        """Serve nothing until `resume`; messages that come meanwhile stay in the kernel."""
        self.loop.remove_reader(self._epoll.fileno())
        self._stop_polling()

    def resume(self) -> None:
        """Serve again after `pause`."""
        self.loop.add_reader(self._epoll.fileno(), self._serve)

    def note_fd(self, fd: int) -> None:
        """Note that a client has this descriptor; all children share one table."""
        if self._parent is not None:
            self._parent.note_fd(fd)
        else:
            self._tight = self._tight or fd >= self.ceiling - 1

    def has_free_descriptor(self) -> bool:
        """Whether a descriptor is free for a client; asks the kernel only if few are left."""
        if self._parent is not None:
            return self._parent.has_free_descriptor()
        if self._tight:
            try:
                lowest = os.dup(self._epoll.fileno())
            except OSError:
                return False
            os.close(lowest)
            self._tight = lowest >= self.ceiling
        return not self._tight

    def close(self) -> None:
        """Stop watching everything."""
        if self._parent is None:
            self.pause()
        elif self._epoll.fileno() in self._parent:
            self._parent.unregister(self._epoll.fileno())
        self._epoll.close()
        self._callbacks.clear()

    def _serve(self) -> None:
        """Serve ready descriptors, until the event loop has to continue."""
        if self._busy_poll:
            self._poll_busily()
            return
        # A child that has filled its batch probably has more, and coming back costs a round of the
        # event loop.
        more = self._dispatch() >= CHILD_BATCH
        end = self.now + _SLICE
        while more and time.monotonic() < end:
            more = self._dispatch() >= CHILD_BATCH

    def _poll_busily(self) -> None:
        """Poll for a while: a client that gets its reply often sends the next message at once.

        A wake-up costs more than everything else about a single client's message.
        """
        self._stop_polling()
        end = time.monotonic() + _SLICE
        while True:
            if self._dispatch():
                self._patience = self.now + self._busy_poll
            elif self.now >= self._patience:
                return
            else:
                os.sched_yield()  # the client may have to run on this processor
            if self.now >= end:
                # The event loop must not sleep either.
                self._again = self.loop.call_soon(self._poll_busily)
                return

    def _stop_polling(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _dispatch(self, _events: int = 0) -> int:
        self.now = time.monotonic()
        return dispatch(self._epoll, self._callbacks, self._batch, self.now)


class Pulse:
    """The watchdog's probe of the data plane: a byte that has to come back through the epoll.

    An event loop that runs its timers may still have stopped serving its sockets, so a timer alone
    proves nothing.
    """

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._ours, self._echo = socket.socketpair()
        self._ours.setblocking(False)
        self._echo.setblocking(False)
        reactor.register(self._echo.fileno(), select.EPOLLIN, self._reply)

    async def beat(self) -> None:
        """Return when the byte has come back; the caller sets the deadline."""
        await self._reactor.loop.sock_sendall(self._ours, b"?")
        await self._reactor.loop.sock_recv(self._ours, 1)

    def close(self) -> None:
        """Close both ends."""
        self._reactor.unregister(self._echo.fileno())
        self._ours.close()
        self._echo.close()

    def _reply(self, _events: int) -> None:
        self._echo.send(self._echo.recv(1))
