"""asyncio's event loop, which waits by the reactor: all descriptors are in one epoll.

Traffic never enters asyncio: the reactor serves it while the loop waits. What belongs to asyncio
(the control socket, signals, the wake-up pipe) is handed over one event at a time, and the reactor
serves what waits between two of them. So the delay that the control plane can cause to a reply is
that of one callback, however many events it has.
"""

import asyncio
import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import Context
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from typing import TYPE_CHECKING, Any, TypeVarTuple

from localechod.echo.reactor import Reactor

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
    """Registers asyncio's descriptors as foreign ones of a reactor."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._keys: dict[int, SelectorKey] = {}

    def register(self, fileobj: "FileDescriptorLike", events: int, data: Any = None) -> SelectorKey:
        fd = _descriptor(fileobj)
        self._reactor.register(fd, _to_epoll(events), None)
        key = self._keys[fd] = SelectorKey(fileobj, fd, events, data)
        return key

    def unregister(self, fileobj: "FileDescriptorLike") -> SelectorKey:
        key = self._keys.pop(_descriptor(fileobj))
        with suppress(OSError):  # it is closed already
            self._reactor.unregister(key.fd)
        return key

    def modify(self, fileobj: "FileDescriptorLike", events: int, data: Any = None) -> SelectorKey:
        fd = _descriptor(fileobj)
        before = self._keys[fd]
        if events != before.events:
            self._reactor.modify(fd, _to_epoll(events))
        key = self._keys[fd] = before._replace(events=events, data=data)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        found = self._reactor.wait(timeout)
        if found is None:
            return []
        fd, ready = found
        key = self._keys[fd]
        events = EVENT_READ * bool(ready & ~select.EPOLLOUT)
        events |= EVENT_WRITE * bool(ready & ~select.EPOLLIN)
        return [(key, events & key.events)]

    def get_map(self) -> Mapping["FileDescriptorLike", SelectorKey]:
        return _Map(self._keys)

    def close(self) -> None:
        self._reactor.close()
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
