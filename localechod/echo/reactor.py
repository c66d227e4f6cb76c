"""One epoll of our own, nested in the event loop: the loop sees a single readable descriptor.

It is the one way to serve SEQPACKET, which neither asyncio nor uvloop does, and it gives the data
plane what their transports hide: whose turn it is, when to stop reading, what a descriptor costs.
docs/performance.md says how fast it is beside others.
"""

import asyncio
import os
import resource
import select
import socket
import time

from localechod.echo.fastpath import Callback, dispatch

# Events served before the loop gets its turn: large enough to spread the loop's price, small enough
# that the control plane and the signals never wait long behind a storm. In a lane: before the next
# lane gets its turn, which is all that a storm in one can delay a reply in another.
_BATCH = 64
CHILD_BATCH = 16

# How long one batch is followed by another, in seconds, before the loop gets its turn: of small
# messages these are a hundred, of large ones it is one batch.
_SLICE = 0.0002

# Descriptors that clients do not get: the control plane may need about a hundred for connections,
# and what a call or a look-up opens. Of a small limit it is a quarter.
_RESERVE = 128


class Reactor:
    """Calls a callback for each descriptor that is ready, level-triggered.

    Args:
        busy_poll: how long to look for more after the last event before going to sleep, in seconds.

    Attributes:
        now: time.monotonic() at the start of the current turn, in seconds; reading the clock for
            each message would cost more than the precision is worth.
        ceiling: the first descriptor that clients may not have; the system gives the lowest that is
            free. Those above are for everything else that must still work then.
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
        """Return an engine for a share of the descriptors, which gets a bounded share of the turns.

        With one epoll for all, the ready descriptors form one row, and who has a thousand of them
        in it lets everyone else wait for a thousand. Lanes take turns instead; close them first.

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
        """Forget a registered descriptor; it has to be still open."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def pause(self) -> None:
        """Serve nothing until `resume`: what comes meanwhile stays in the kernel."""
        self.loop.remove_reader(self._epoll.fileno())
        self._stop_polling()

    def resume(self) -> None:
        """Serve again after `pause`."""
        self.loop.add_reader(self._epoll.fileno(), self._serve)

    def note_fd(self, fd: int) -> None:
        """Note that a client has got this descriptor; the table is one for all lanes."""
        if self._parent is not None:
            self._parent.note_fd(fd)
        else:
            self._tight = self._tight or fd >= self.ceiling - 1

    def has_room(self) -> bool:
        """Tell whether there is a descriptor for one more client; asks only when few are left."""
        if self._parent is not None:
            return self._parent.has_room()
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
        """Serve what is ready, until the loop has to get its turn."""
        if self._busy_poll:
            self._poll_busily()
            return
        # A lane that has filled its batch has probably more, and coming back costs the loop's turn.
        more = self._dispatch() >= CHILD_BATCH
        end = self.now + _SLICE
        while more and time.monotonic() < end:
            more = self._dispatch() >= CHILD_BATCH

    def _poll_busily(self) -> None:
        """Go on looking for more for a while: who waits for a reply has often the next question.

        To be woken costs more than everything else that a single client's message costs.
        """
        self._stop_polling()
        end = time.monotonic() + _SLICE
        while True:
            if self._dispatch():
                self._patience = self.now + self._busy_poll
            elif self.now >= self._patience:
                return
            else:
                os.sched_yield()  # the client may have no other processor than this one
            if self.now >= end:
                # The loop must not go to sleep either.
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
    """The watchdog's question to the data plane: does a byte still come back through the epoll?

    An event loop that runs its timers may yet have stopped serving its sockets, so the timer alone
    proves nothing.
    """

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._ours, self._echo = socket.socketpair()
        self._ours.setblocking(False)
        self._echo.setblocking(False)
        reactor.register(self._echo.fileno(), select.EPOLLIN, self._reply)

    async def beat(self) -> None:
        """Return when the data plane has answered; the caller sets the deadline."""
        await self._reactor.loop.sock_sendall(self._ours, b"?")
        await self._reactor.loop.sock_recv(self._ours, 1)

    def close(self) -> None:
        """Close both ends."""
        self._reactor.unregister(self._echo.fileno())
        self._ours.close()
        self._echo.close()

    def _reply(self, _events: int) -> None:
        self._echo.send(self._echo.recv(1))
