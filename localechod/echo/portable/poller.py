# ruff: noqa: SLF001 - a poller, its root and its children are of one class
"""The poller: one epoll for the data plane and the event loop, and a turn for every endpoint."""

import errno
import math
import os
import select
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeAlias

from localechod.echo.portable.accept import Admit, accept_clients
from localechod.echo.portable.shares import CHILD_TIME, Share
from localechod.echo.portable.table import Entry, Handler, Table

# Events of one turn: enough to spread the cost of an epoll_wait(2). A child serves fewer: a flood
# in one child delays a reply in another by no more than this.
BATCH = 64
CHILD_BATCH = 16

# Seconds. After a sleep that was shorter, the next one begins so much later: to be woken up takes
# about as long, and costs the client more than the message.
_SHORT = 10e-6


# A descriptor that is ready, its entry and its events. An earlier handler may close it, and its
# number may be in use again.
_Event: TypeAlias = tuple[int, Entry, int]


def _is_of_busy_child(event: _Event) -> bool:
    return event[1].payer._share.is_busy()


class Poller:
    """Serves descriptors that are ready, level-triggered, by a handler for each.

    A descriptor without a handler is foreign: `wait` returns its events instead.

    In a single epoll all ready descriptors form one queue, so an endpoint with a thousand of them
    delays every other by a thousand. So there is a child for each endpoint: its first CHILD_BATCH
    descriptors are in the epoll of the root, and the others in an epoll of its own, which is one
    descriptor more in that of the root. In one turn each child serves 2 * CHILD_BATCH events at
    most, and begins none after CHILD_TIME.

    A child is busy if it took half of that time or more in the last two turns that it had. In two,
    because the scheduler may stop this process in one turn of any child. The others are served
    before the busy ones, and again between their events.

    Args:
        parent: the root, of which this poller is a child.
        busy_poll: for how many seconds after the last event `wait` polls before it sleeps.

    Attributes:
        root: the parent, or this poller if it has none.
        now: time.monotonic() at the beginning of the current turn, in seconds; reading the clock
            for each message would cost more than the precision is worth.
        served_at: time.monotonic() when something was last served.
        sleeping: whether it waits in the kernel for events, and for nothing else.
        alarm: seconds from one SIGALRM to the next, whose timer the next event or the end of the
            next sleep starts; then it is negative. 0: none. Only of a poller without a parent.

    Raises:
        OSError: EMFILE, ENFILE, ENOMEM; epoll_create(2).
    """

    def __init__(self, parent: "Poller | None" = None, busy_poll: float = 0.0) -> None:
        self.root = self if parent is None else parent
        self._epoll: select.epoll | None = select.epoll() if parent is None else None
        self._direct = 0
        self._table: Table = Table() if parent is None else parent._table
        self._busy_poll = busy_poll
        self.served_at = self.now
        self.sleeping = False
        self.alarm = 0.0
        self._slept = math.inf  # how long, the last time
        self._share = Share(self._table)

    @property
    def now(self) -> float:
        """See above."""
        return self._table.now

    def __contains__(self, fd: int) -> bool:
        return fd in self._table.entries

    def register(self, fd: int, events: int, handler: "Handler | Poller | None", /) -> None:
        """Watch a descriptor for these events (select.EPOLLIN ...).

        Raises:
            OSError: EMFILE, ENFILE, ENOSPC or ENOMEM; epoll_create(2), epoll_ctl(2).
            ValueError: it is registered already; or the root is closed; or the handler is a poller,
                and this is not the descriptor of its epoll.
        """
        is_child = isinstance(handler, Poller)
        if is_child and (handler.root is not self or handler._fileno() != fd):  # type: ignore[union-attr]
            fd = -1
        if fd < 0 or fd in self or self.root._epoll is None:
            raise ValueError(f"descriptor {fd} cannot be registered")
        direct = self is not self.root and self._direct < CHILD_BATCH
        if not direct and self._epoll is None:
            self._open_epoll()
        entry = Entry(handler, self, events, direct, is_child)
        if not self._is_paused(entry):
            self._epoll_of(entry).register(fd, events)
        self._table.entries[fd] = entry
        self._direct += direct

    def modify(self, fd: int, events: int, /) -> None:
        """Watch a registered descriptor for other events.

        Raises:
            KeyError: it is not registered.
        """
        entry = self._table.entries[fd]
        entry.events = events
        if not self._is_paused(entry):
            self._epoll_of(entry).modify(fd, events)

    def unregister(self, fd: int, /) -> None:
        """Stop watching a registered descriptor; it has to be still open.

        Raises:
            KeyError: it is not registered.
        """
        entry = self._table.entries.pop(fd)
        self._table.foreign.pop(fd, None)
        entry.owner._direct -= entry.direct
        if not self._is_paused(entry):
            self._epoll_of(entry).unregister(fd)

    def pause(self) -> None:
        """Serve no child until `resume`; messages that come meanwhile stay in the kernel."""
        for fd, entry in self._table.entries.items():
            if entry.of_child and not self._table.paused:
                self._epoll_of(entry).unregister(fd)
        self._table.paused = True

    def resume(self) -> None:
        """Serve again after `pause`."""
        for fd, entry in self._table.entries.items():
            if entry.of_child and self._table.paused:
                self._epoll_of(entry).register(fd, entry.events)
        self._table.paused = False

    def close(self) -> None:
        """Stop watching every descriptor that was registered here; the root's children too."""
        for fd, entry in list(self._table.entries.items()):
            if entry.owner is self or self is self.root:
                with suppress(OSError):  # it is closed already
                    self.unregister(fd)
        if self._epoll is not None:
            if self is not self.root and self._epoll.fileno() in self:
                self.root.unregister(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def interrupt(self) -> None:
        """End the current `wait` after its current turn: the event loop has something to do."""
        self._table.interrupted = True

    def wait(self, timeout: float | None, /) -> tuple[int, int] | None:
        """Serve what is ready, until there is an event for the caller or the time is over.

        Foreign events are returned one at a time, oldest first. There is one turn before each
        return, so whatever the caller does about a foreign event comes after the traffic that was
        waiting.

        Args:
            timeout: seconds; None: no limit. With 0 there is one turn.

        Returns:
            A foreign descriptor and its events; None after the time, or after `interrupt`.

        Raises:
            OSError: EBADF, it is closed.
        """
        table = self._table
        table.interrupted = False
        now = time.monotonic()
        until = math.inf if timeout is None else now + timeout
        while True:
            sleep = self._sleep_for(until, now)
            before = time.monotonic()
            served = self._turn(BATCH, sleep)
            now = table.now
            if sleep != 0:
                self._slept = now - before
            if served:
                self.served_at = now
            while table.waiting:
                fd = table.waiting.popleft()
                events = table.foreign.pop(fd, 0)
                if events:  # else it was unregistered meanwhile
                    return fd, events
            if table.interrupted or now >= until:
                return None
            if sleep == 0 and not served:
                os.sched_yield()  # the client may have to run on this processor

    def handler_failed(self, fd: int, handler: Handler, error: Exception) -> None:
        """Go on after a handler has raised; must not raise. The compiled part has no such method.

        Args:
            fd: the descriptor that was served.
            handler: serves it.
            error: what it has raised.
        """
        raise NotImplementedError

    def turn(self) -> int:
        """Serve what is ready, without waiting; return how many events it was."""
        return self._turn(BATCH if self is self.root else CHILD_BATCH, 0)

    def serve_quiet(self) -> int:
        """Serve what is ready of children that are not busy, if they have time in this turn.

        Foreign descriptors are left to the next turn. There is no waiting.

        Returns:
            For how many events this counts.

        Raises:
            OSError: EBADF, it is closed.
        """
        root, served, clock = self.root, 0, time.monotonic()
        for fd, entry, ready in root._events(BATCH, 0):
            share = entry.payer._share
            if entry.handler is not None and not share.is_busy() and share.has_time():
                more, clock = root._serve_timed((fd, entry, ready), clock)
                served += more
        return served

    def accept(self, listener: socket.socket, admit: Admit, most: int, ceiling: int, /) -> int:
        """See accept_clients."""
        return accept_clients(self, listener, admit, most, ceiling)

    def _turn(self, most: int, sleep: float | None) -> int:
        """Wait for events, and serve at most so many; return how many it was."""
        if self._epoll is None and self is not self.root:
            return 0  # all of its descriptors are in the epoll of the root
        self.sleeping = sleep != 0
        try:
            events = self._events(most, sleep)
        except InterruptedError:
            return 0
        finally:
            self.sleeping = False
        if self is self.root:
            self._table.now = time.monotonic()
            self._table.turn += 1
            events.sort(key=_is_of_busy_child)
        # Where nothing is ready, the time of a timer may have come, which releases something too.
        if self.alarm > 0 and (events or sleep != 0):
            signal.setitimer(signal.ITIMER_REAL, self.alarm, self.alarm)
            self.alarm = -self.alarm
        served, done = 0, []
        clock = looked = time.monotonic()
        for event in events:
            if (
                self is self.root
                and clock - looked >= CHILD_TIME / 2e6
                and _is_of_busy_child(event)
            ):
                served += self.serve_quiet()
                clock = looked = time.monotonic()
            if event[1].payer._share.has_time():
                more, clock = self._serve_timed(event, clock)
                served += more
                done.append(event)
        if len(done) < len(events):
            self._requeue(done)
        return served

    def _events(self, most: int, sleep: float | None) -> list[_Event]:
        """Wait for events.

        Raises:
            InterruptedError: a signal has come.
            OSError: EBADF, it is closed.
        """
        if self._epoll is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        found, entries = self._epoll.poll(sleep, most), self._table.entries
        return [(fd, entries[fd], ready) for fd, ready in found if fd in entries]

    def _serve_timed(self, event: _Event, began: float) -> tuple[int, float]:
        """Serve one event; return for how many it counts, and time.monotonic() after it."""
        served = self._serve(*event)
        clock, owner = time.monotonic(), event[1].owner
        if owner is not self.root:
            owner._share.spend(clock - began)
        return served, clock

    def _requeue(self, events: Iterable[_Event]) -> None:
        """Let what a child has served wait behind what it had no time for.

        An epoll returns ready descriptors in turn, but counts those as served that it has returned.
        """
        for fd, entry, _ in events:
            is_registered = self._table.entries.get(fd) is entry and not self._is_paused(entry)
            if is_registered and not entry.payer._share.has_time():
                epoll = self._epoll_of(entry)
                epoll.unregister(fd)
                epoll.register(fd, entry.events)

    def _serve(self, fd: int, entry: Entry, events: int) -> int:
        table = self._table
        if table.entries.get(fd) is not entry:
            # Closed by an earlier handler of this turn; the number may be in use again already.
            return 1
        handler = entry.handler
        if handler is None:
            if fd not in table.foreign:
                table.waiting.append(fd)
            table.foreign[fd] = table.foreign.get(fd, 0) | events
            return 1
        if isinstance(handler, Poller):
            return handler.turn()
        try:
            served = handler.serve(events)
        except Exception as error:  # noqa: BLE001 - a defect: it ends here
            self.root.handler_failed(fd, handler, error)
            served = None
        return 1 if served is None else served

    def _open_epoll(self) -> None:
        self._epoll = select.epoll()
        try:
            self.root.register(self._epoll.fileno(), select.EPOLLIN, self)
        except OSError:
            self._epoll.close()
            self._epoll = None
            raise

    def _fileno(self) -> int:
        return -1 if self._epoll is None else self._epoll.fileno()

    def _epoll_of(self, entry: Entry) -> select.epoll:
        return self.root._epoll if entry.direct else entry.owner._epoll  # type: ignore[return-value]

    def _is_paused(self, entry: Entry) -> bool:
        return self._table.paused and entry.of_child

    def _sleep_for(self, until: float, now: float) -> float | None:
        """Return for how many seconds to sleep; None: until something happens."""
        if self._table.waiting or self._table.interrupted or until <= now:
            return 0
        poll = max(self._busy_poll, _SHORT if self._slept < _SHORT else 0)
        if now < self.served_at + poll:
            return 0
        return None if until == math.inf else math.ceil((until - now) * 1e3) / 1e3
