"""asyncio's event loop, which waits by the reactor: all descriptors are in one epoll.

Traffic never enters asyncio: the reactor serves it while the loop waits. What belongs to asyncio
(the control socket, signals, the wake-up pipe) is handed over one event at a time; precedence.py
says for which user.
After each turn of traffic asyncio has as much time as that turn took, within bounds. Between its
callbacks, endpoints that are not busy are served. So the delay that the control plane can cause to
a reply is short, however many events it has.
"""

import asyncio
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import Context
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from typing import TYPE_CHECKING, Any, TypeVarTuple

from localechod.echo.precedence import Precedence
from localechod.echo.reactor import Reactor
from localechod.limits import CONTROL_TIME, MOST_CONTROL_TIME
from localechod.localsocket.peer import peer_uid

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

_Ts = TypeVarTuple("_Ts")


class EventLoop(asyncio.SelectorEventLoop):
    """An event loop on one reactor, which it closes when it is closed itself."""

    def __init__(self, reactor: Reactor) -> None:
        super().__init__(_Selector(reactor))
        self.reactor = reactor
        self._interrupt = reactor.interrupt
        reactor.loop = self

    # The reactor may call these while the loop waits, from a handler; the loop then has to look at
    # its callbacks and timers again.

    def stop(self) -> None:
        """See asyncio.AbstractEventLoop."""
        self._interrupt()
        super().stop()

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """See asyncio.AbstractEventLoop."""
        self._interrupt()
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio.AbstractEventLoop."""
        self._interrupt()
        return super().call_at(when, callback, *args, context=context)


class _Selector(BaseSelector):
    """Has asyncio's descriptors in an epoll of its own, which is one descriptor of a reactor.

    Ready descriptors wait in a queue for each user. For most control connections the user is the
    peer; the listening socket and the loop's own descriptors belong to the service's user.
    """

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._precedence = Precedence()
        self._epoll = select.epoll()
        reactor.register(self._epoll.fileno(), select.EPOLLIN, None)
        self._keys: dict[int, SelectorKey] = {}
        self._users: dict[int, int] = {}  # by descriptor
        self._ready: dict[int, dict[int, int]] = {}  # by user: descriptors with their events
        # The end of asyncio's time; then traffic has a turn. Seconds of the processor: where others
        # want it too, it is taken away in the middle of an event, and that time is nobody's.
        self._until = 0.0

    def register(self, fileobj: "FileDescriptorLike", events: int, data: Any = None) -> SelectorKey:
        fd = _descriptor(fileobj)
        self._epoll.register(fd, _to_epoll(events))
        self._users[fd] = peer_uid(fd)
        key = self._keys[fd] = SelectorKey(fileobj, fd, events, data)
        return key

    def unregister(self, fileobj: "FileDescriptorLike") -> SelectorKey:
        key = self._keys.pop(_descriptor(fileobj))
        uid = self._users.pop(key.fd)
        with suppress(OSError):  # it is closed already
            self._epoll.unregister(key.fd)
        ready = self._ready.get(uid, {})
        if ready.pop(key.fd, None) and not ready:
            del self._ready[uid]
        return key

    def modify(self, fileobj: "FileDescriptorLike", events: int, data: Any = None) -> SelectorKey:
        fd = _descriptor(fileobj)
        before = self._keys[fd]
        if events != before.events:
            self._epoll.modify(fd, _to_epoll(events))
        key = self._keys[fd] = before._replace(events=events, data=data)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        before = time.thread_time()
        if before < self._until and (timeout == 0 or self._ready):
            # Time of the traffic's, and not of asyncio's.
            if self._reactor.serve_quiet():
                self._until += time.thread_time() - before
            if timeout == 0:
                return []  # asyncio has callbacks; the event before is handled to its end first
        else:
            found = self._reactor.wait(0 if self._ready else timeout)
            now = time.thread_time()
            self._until = now + min(max(now - before, CONTROL_TIME), MOST_CONTROL_TIME)
            for fd, ready in self._epoll.poll(0) if found else ():
                self._ready.setdefault(self._users[fd], {})[fd] = ready
        if not self._ready:
            return []
        uid = self._precedence.choose(self._ready)
        waiting = self._ready.pop(uid)
        fd = next(iter(waiting))
        ready = waiting.pop(fd)
        if waiting:
            self._ready[uid] = waiting  # behind all other users
        key = self._keys[fd]
        events = EVENT_READ * bool(ready & ~select.EPOLLOUT)
        events |= EVENT_WRITE * bool(ready & ~select.EPOLLIN)
        return [(key, events & key.events)]

    def get_map(self) -> Mapping["FileDescriptorLike", SelectorKey]:
        return _Map(self._keys)

    def close(self) -> None:
        self._reactor.close()
        self._epoll.close()
        self._keys.clear()


class _Map(Mapping["FileDescriptorLike", SelectorKey]):
    """The keys by descriptor, or by an object that has one."""

    def __init__(self, keys: Mapping[int, SelectorKey]) -> None:
        self._keys = keys

    def __getitem__(self, fileobj: "FileDescriptorLike") -> SelectorKey:
        return self._keys[_descriptor(fileobj)]

    def __iter__(self) -> Iterator["FileDescriptorLike"]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _descriptor(fileobj: "FileDescriptorLike") -> int:
    return fileobj if isinstance(fileobj, int) else fileobj.fileno()


def _to_epoll(events: int) -> int:
    return select.EPOLLIN * bool(events & EVENT_READ) | select.EPOLLOUT * bool(events & EVENT_WRITE)
