"""How a connection that is served one message at a time sends a reply, and what came with it.

A reply may be late, or come in pieces; descriptors that were passed may go with it. Waits are
timers of the event loop, and nothing is read meanwhile.
"""

import asyncio
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from enum import Enum, auto
from typing import Self

from localechod.echo.passed import Ancillary
from localechod.echo.stream.connection import Connection
from localechod.localsocket.rights import control, received

# Pieces of a reply that are written in one turn, at most.
_PIECES = 16


class Ready(Enum):
    """What to do when the descriptor is ready."""

    BEGIN = auto()  # all there is to do at the beginning
    READ = auto()
    WRITE = auto()
    RESET = auto()
    CLOSE = auto()  # the client has left, while nothing was to be read or written


class Answering(Connection):
    """The part of such a connection that sends.

    Attributes:
        queue: replies to send after `unsent`.
        timer: until it is over, nothing is read or written.
        ready: what to do when the descriptor is ready.
        descriptors: passed with the message that is answered; they go with its reply.
        cut: more were passed with it.
    """

    __slots__ = ("cut", "descriptors", "queue", "ready", "timer")

    queue: deque[bytes]
    timer: asyncio.TimerHandle | None
    ready: Ready
    descriptors: list[int]
    cut: bool

    def like(self, fd: int, pid: int, uid: int, gid: int, now: float) -> Self:
        """See Flow."""
        made = super().like(fd, pid, uid, gid, now)
        made.queue = deque()
        made.timer = None
        made.ready = Ready.BEGIN
        made.descriptors = []
        made.cut = False
        return made

    def _watch(self, events: int, ready: Ready) -> None:
        self.ready = ready
        self.port.reactor.modify(self.fd, events)

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        """Do nothing for so long; if the client leaves meanwhile, close."""

        def over() -> None:
            self.timer = None
            then()

        self._watch(0, Ready.CLOSE)
        self.timer = self.port.reactor.loop.call_later(seconds, over)

    def _recv(self, size: int, space: int = 0) -> tuple[bytes, Ancillary]:
        """Read bytes, with space for control data besides descriptors."""
        if self._receives_descriptors():
            space += self.port.passed.space(self.uid)
        data, ancillary, flags, _ = self.sock.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
        self.descriptors, self.cut = received(ancillary), bool(flags & socket.MSG_CTRUNC)
        if self.cut and self.port.faults.settings.refuse_descriptors:
            self._done("refuse_descriptors")
        return data, ancillary

    def _receives_descriptors(self) -> bool:
        config = self.port.config
        wanted = config.wants_descriptors and not config.faults.refuse_descriptors
        return wanted and self.port.reactor.has_free_descriptor()

    def _close_descriptors(self) -> None:
        if self.descriptors:
            self.port.passed.close(self.uid, self.descriptors)
            self.descriptors = []

    def _write(self) -> None:
        """Send what is to be sent, in pieces if there are to be pieces."""
        settings = self.port.faults.settings
        for _ in range(_PIECES):
            if self.unsent is None:
                if not self.queue:
                    self.account()
                    self._go_on()
                    return
                self.unsent = memoryview(self.queue.popleft())
            unsent = self._in_one()
            try:
                self._count(self._send_piece(unsent[: settings.pieces or len(unsent)]))
            except BlockingIOError:
                break
            except OSError as error:
                self._unsendable(error)
                return
            if self.unsent is not None and settings.pause:
                self._wait(settings.pause, self._write)
                return
        self._watch(select.EPOLLOUT, Ready.WRITE)
        self.account()

    def _in_one(self) -> memoryview:
        """Return what is to be sent; it is in pieces after a long line, from before a reload."""
        if not isinstance(self.unsent, memoryview):
            self.unsent = memoryview(bytes(self.unsent or b""))
        return self.unsent

    def _send_piece(self, piece: memoryview) -> int:
        if not self.descriptors or not self.port.config.echo_descriptors:
            return os.write(self.fd, piece)
        sent = self.sock.sendmsg([piece], control(self.descriptors))
        self.port.passed.sent_back(self.uid, self.fd, len(self.descriptors))
        self._close_descriptors()
        return sent

    def _count(self, sent: int) -> None:
        self.active_at = self.port.reactor.now
        self.sent += sent
        self.port.counters.sent_bytes += sent
        if self.unsent is not None:
            self.unsent = self._in_one()[sent:] or None

    def _unsendable(self, error: OSError) -> None:
        self.unsent = None
        self.fail(error)
        if self.fd >= 0:  # a reply that was too long
            self._write()

    def buffered(self) -> int:
        """See Connection; with the replies that wait."""
        return super().buffered() + sum(map(len, self.queue))

    def close_now(self) -> None:
        """See Connection."""
        self._cancel()
        self._close_descriptors()
        self.port.passed.forget(self.fd)
        super().close_now()

    def _cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _go_on(self) -> None:
        """Do what comes next, after what was sent."""
        raise NotImplementedError

    def _done(self, fault: str) -> None:
        """Count a fault, and report it."""
        raise NotImplementedError
