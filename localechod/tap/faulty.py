"""Both ways of a relay with faults: replies that are late, cut, lost, or the last."""

import errno
import os
import select
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from localechod.config.faults import Faults
from localechod.fault_plan import Step, decide, next_step, with_held
from localechod.localsocket.closing import end, has_unread
from localechod.tap.direction import TO_CLIENT, TO_SERVER, Direction, Owner, Watcher, hung_up

# Seconds from one look to the next. No event tells that a client has read everything.
_SOONEST, _LATEST = 0.001, 1.0
_CREDENTIALS = socket.CMSG_SPACE(12)  # a ucred, which every record has; no space for descriptors


class Plan(Protocol):
    """The faults that are laid on all connections.

    Attributes:
        settings: what is to be done.
    """

    settings: Faults

    def numbers(self, type_: int) -> tuple[int, Iterator[int]]:
        """Return the number of a new connection, and those of its messages; see fault_plan.py."""
        ...

    def done(self, faults: Iterable[str]) -> None:
        """Count faults."""


class _Faulty(Direction):
    def __init__(  # noqa: PLR0913, PLR0917 - those of Direction, and the plan
        self,
        source: socket.socket,
        sink: socket.socket,
        name: str,
        watcher: Watcher,
        owner: Owner,
        plan: Plan,
    ) -> None:
        self._plan = plan
        super().__init__(source, sink, name, watcher, owner)

    def _cut_descriptors(self) -> None:
        if self._rights and self._plan.settings.refuse_descriptors:
            self._close_rights()
            self._do("a message", "refuse_descriptors")

    def _do(self, what: str, *faults: str) -> None:
        self._plan.done(faults)
        self._watcher.noted(self._name, f"{what}: {', '.join(faults)}")


class FaultyRequests(_Faulty):
    """The way to the server, on which descriptors may be cut."""

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        watcher: Watcher,
        owner: Owner,
        plan: Plan,
    ) -> None:
        super().__init__(client, server, TO_SERVER, watcher, owner, plan)

    def _take(self, data: bytes) -> None:
        self._cut_descriptors()
        super()._take(data)


class _Reply(NamedTuple):
    data: bytes
    rights: list[int]


class FaultyReplies(_Faulty):
    """The way to the client. The next reply is read when the one before has been dealt with."""

    def __init__(
        self,
        server: socket.socket,
        client: socket.socket,
        watcher: Watcher,
        owner: Owner,
        plan: Plan,
    ) -> None:
        super().__init__(server, client, TO_CLIENT, watcher, owner, plan)
        self._number, self._numbers = plan.numbers(self._type)
        self._messages = 0
        self._most = plan.settings.pieces or None
        self._queue: deque[_Reply] = deque()
        self._held: _Reply | None = None
        self._half_closed = False
        self._delay = 0.0  # seconds before the replies to the last message
        self._afterwards: Callable[[], None] | None = None
        self._poll: select.epoll | None = None
        self._loop.remove_reader(server)
        self._later = self._loop.call_soon(self._step)  # when the relay is complete

    def stop(self) -> None:
        """See Direction."""
        super().stop()
        for reply in [*self._queue, *([] if self._held is None else [self._held])]:
            _close(reply.rights)
        if self._poll is not None:
            self._loop.remove_reader(self._poll)
            self._poll.close()
            self._poll = None

    def _step(self) -> None:
        """Do what comes next: when all has been written, or an end is to be passed on."""
        step, fault = next_step(self._plan.settings, self._messages)
        last = step is not Step.READ or self._afterwards is not None
        if self._held is not None and last:
            self._queue.append(self._held)
            self._held = None
        if self._queue:
            self._write_next()
        elif self._afterwards is not None:
            self._afterwards()
        elif step is Step.CLOSE:
            self._do_end("end of file", fault)
            self._hang_up()
        elif step is Step.RESET:
            self._owner.ignore_client()
            self._reset_at_input(fault, _SOONEST)
        elif step is Step.IGNORE:
            self._do("from the start", fault)
            self._ignore()
        else:
            if step is Step.HALF_CLOSE and not self._half_closed:
                self._half_closed = True
                self._do_end("end of file", fault)
                self._sink.shutdown(socket.SHUT_WR)
            self._loop.add_reader(self._source, self._read)

    def _do_end(self, reason: str, fault: str) -> None:
        self._plan.done([fault])
        self._watcher.ended(self._name, f"{reason}: {fault}")

    def _truncated(self) -> None:
        self._watcher.ended(self._name, "end of file: truncate")
        self._hang_up()

    def _hang_up(self) -> None:
        self._owner.ignore_client()
        end(self._sink)
        self._owner.ended(self._name, both=True)

    def _reset_at_input(self, fault: str, pause: float) -> None:
        """Close with unread bytes, but not before a client of records has read all replies."""

        def ready() -> None:
            self._loop.remove_reader(self._sink)
            if hung_up(self._sink) or not _has_input(self._sink):
                self._owner.ended(self._name, both=True)
            elif has_unread(self._sink.fileno()):
                again = min(2 * pause, _LATEST)
                self._wait_for(pause, lambda: self._reset_at_input(fault, again))
            else:
                self._do_end(os.strerror(errno.ECONNRESET), fault)
                self._owner.ended(self._name, both=True)

        self._loop.add_reader(self._sink, ready)

    def _ignore(self) -> None:
        """Read nothing, and only notice that a connected client leaves."""
        self._owner.ignore_client()
        self._loop.remove_reader(self._source)
        if self._type != socket.SOCK_DGRAM:
            self._poll = select.epoll()
            self._poll.register(self._sink, 0)
            self._loop.add_reader(self._poll, lambda: self._owner.ended(self._name, both=True))

    def _take(self, data: bytes) -> None:
        self._loop.remove_reader(self._source)
        self._messages = next(self._numbers)
        self._cut_descriptors()
        rights, self._rights = self._rights, []
        if not self._half_closed:
            self._decide(data, rights)
        _close(rights)
        if not self._delay:
            self._step()
        else:
            self._wait_for(self._delay, self._step)

    def _decide(self, data: bytes, rights: list[int]) -> None:
        """Queue what is sent for a message; its descriptors go with the first that is."""
        held = None if self._held is None else self._held.data
        outcome = decide(self._plan.settings, self._number, self._messages, data, held)
        if outcome.done:
            self._do(f"reply {self._messages}", *outcome.done)

        def make(part: bytes) -> _Reply:
            with_it = rights[:]
            rights.clear()
            return _Reply(part, with_it)

        replies, self._held = with_held(outcome, self._held, make)
        self._queue.extend(replies)
        self._delay = outcome.wait
        if outcome.ends:
            self._afterwards = self._truncated

    def _write_next(self) -> None:
        reply = self._queue.popleft()
        self._rights = reply.rights
        super()._take(reply.data)

    def _go_on(self, rest: memoryview) -> None:
        pause = self._plan.settings.pause
        if not pause:
            super()._go_on(rest)
            return
        self._loop.remove_writer(self._sink)
        self._rest = None
        self._wait_for(pause, lambda: self._write(rest))

    def _written(self) -> None:
        self._loop.remove_writer(self._sink)
        self._rest = None
        self._step()

    def _wait_for(self, seconds: float, then: Callable[[], None]) -> None:
        self._later = self._loop.call_later(seconds, then)

    def _end(self) -> None:
        self._loop.remove_reader(self._source)
        if self._plan.settings.never_reply:
            self._keep_back("end of file")
            return
        self._afterwards = self._pass_on_end if self._half_closed else super()._end
        self._step()

    def _fail(self, error: OSError) -> None:
        if self._plan.settings.never_reply:
            self._keep_back(error.strerror or "")
        else:
            super()._fail(error)

    def _keep_back(self, reason: str) -> None:
        """The client of a server that never replies does not learn of its end either."""
        self._watcher.noted(self._name, f"{reason}: never_reply")
        if hung_up(self._source):
            self._ignore()


def _close(rights: list[int]) -> None:
    for each in rights:
        os.close(each)


def _has_input(sock: socket.socket) -> bool:
    """Tell whether a byte or a record waits; the end of file is none."""
    data, ancillary, _, _ = sock.recvmsg(1, _CREDENTIALS, socket.MSG_PEEK)
    return bool(data or ancillary)
