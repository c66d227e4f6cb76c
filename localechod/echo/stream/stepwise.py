"""Connections that are served one message at a time.

Those are the connections of endpoints with faults, of endpoints that receive descriptors, and of
those with `reply = "identity"`.

A message is read when the reply to the one before is sent, and no byte after it is read with it.
So what is unread is exact, where the connection is to be reset, and a client that sends ahead has
one reply waiting, not many. Waits are timers of the event loop.
"""

import select
import socket
from typing import Self

from msgspec.structs import replace

from localechod.config import EndpointConfig
from localechod.echo.fastpath import PYTHON
from localechod.echo.identity import of_connection
from localechod.echo.persist.snapshot import ConnectionSnapshot
from localechod.echo.stream.answering import Answering, Ready
from localechod.fault_plan import Step, decide, next_step
from localechod.localsocket.closing import has_unread
from localechod.localsocket.rights import allow_descriptors

# Seconds from one look to the next whether the client has read everything; see lingering.py.
_SOONEST, _LATEST = 0.001, 1.0


class StepwiseConnection(Answering):
    """What such stream and seqpacket connections share.

    Attributes:
        number: of the connection; see fault_plan.py. 0 before it is served first.
        held: a reply that is sent after the next one.
        deaf: `never_read` has been counted.
        half_closed: the client has read end of file, and gets no reply any more.
        last: the endpoint dies when this connection has ended; see `die_after`.
    """

    __slots__ = ("deaf", "half_closed", "held", "last", "number")

    number: int
    held: bytes | None
    deaf: bool
    half_closed: bool
    last: bool

    def like(self, fd: int, pid: int, uid: int, gid: int, now: float) -> Self:
        """See Flow."""
        made = super().like(fd, pid, uid, gid, now)
        made.number = 0
        made.held = None
        made.deaf = made.half_closed = made.last = False
        return made

    def configure(self, config: EndpointConfig) -> None:
        """See Connection; a reply that waits is sent as it was to be."""
        super().configure(config)
        if self.fd >= 0:
            allow_descriptors(self.sock, allowed=config.wants_descriptors)
        if self.fd in self.port.reactor and self.number and not self._is_sending():
            self._go_on()

    def _fast_kind(self) -> int:
        return PYTHON

    def _is_sending(self) -> bool:
        return self.timer is not None or self.unsent is not None or bool(self.queue)

    def serve(self, events: int) -> None:
        """See Connection."""
        if self.ready is Ready.BEGIN:
            self._begin()
            self._read_if_ready()
        elif self.ready is Ready.READ:
            self._read()
        elif self.ready is Ready.WRITE:
            self._write()
        elif self.ready is Ready.RESET:
            self._reset(events)
        elif self.ready is Ready.CLOSE:
            self.close_now()

    def _begin(self) -> None:
        if not self.number:
            self.number = self.port.faults.next_connection()
            # It may have connected before its listener had this setting.
            allow_descriptors(self.sock, allowed=self.port.config.wants_descriptors)
        self._go_on()

    def _read_if_ready(self) -> None:
        """A client that has just connected has probably sent something already."""
        if self.ready is Ready.READ:
            self._read()

    def _go_on(self) -> None:
        """Do what comes next, after what was sent."""
        faults = self.port.faults
        step, fault = next_step(faults.settings, self.messages)
        if self.unsent is not None or self.queue:
            self._write()
        elif self.held is not None and (step is not Step.READ or self.afterwards is not None):
            self.queue.append(self.held)
            self.held = None
            self._write()
        elif self.afterwards is not None:
            self.afterwards()
        elif step is Step.CLOSE:
            self._done(fault)
            self.close()
        elif step is Step.IGNORE:
            if not self.deaf:
                self.deaf = True
                self._done(fault)
            self._watch(0, Ready.CLOSE)
        elif step is Step.RESET:
            self._watch(select.EPOLLIN, Ready.RESET)
        else:
            if step is Step.HALF_CLOSE and not self.half_closed:
                self.half_closed = True
                self._done(fault)
                self.sock.shutdown(socket.SHUT_WR)
            self._watch(self.events, Ready.READ)

    def _done(self, fault: str) -> None:
        self.port.faults.done(fault, self.number, self.messages, self.pid, self.uid)

    def _reset(self, events: int) -> None:
        """Close with unread bytes; but not before the client has read all replies.

        The client of a seqpacket connection would get the error before them.
        """
        if events & select.EPOLLHUP or not self._has_input():
            self.close_now()  # the client has left
        elif has_unread(self.fd):
            since = self.port.reactor.now - self.active_at
            self._wait(min(max(since, _SOONEST), _LATEST), self._go_on)
        else:
            self._done(next_step(self.port.faults.settings, self.messages)[1])
            self.close_now()

    def _read(self) -> None:
        if self.port.faults.dead:
            self.close()
            return
        try:
            message = self._receive()
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        if message is None:
            self.end()
        else:
            self.take(message)
            self._close_descriptors()

    def _answer(self, reply: bytes) -> None:
        """Answer one message, or not, as the faults have it."""
        faults = self.port.faults
        if faults.take_message():
            self.last, self.afterwards = True, self.close
        if self.half_closed:
            self._go_on()
            return
        if self.port.config.reply == "identity":
            reply = of_connection(self.sock, self.descriptors, cut=self.cut)
        outcome = decide(faults.settings, self.number, self.messages, reply, self.held)
        for fault in outcome.done:
            self._done(fault)
        self.held = outcome.held
        self.queue.extend(outcome.replies)
        if outcome.ends:
            self.afterwards = self.close
        self.account()
        if self.fd < 0:  # evicted
            return
        if outcome.wait:
            self._wait(outcome.wait, self._write)
        else:
            self._write()

    def end(self) -> None:
        """See Connection; what is incomplete or held back is answered first."""
        reply = self._last_reply()
        self.afterwards = self.close_now
        if reply:
            self._answer(reply)
        else:
            self._go_on()

    def drain(self) -> None:
        """See Connection."""
        super().drain()
        if self.port.faults.settings.never_read:
            self.close()

    def buffered(self) -> int:
        """See Connection; with a reply that is held back."""
        return super().buffered() + len(self.held or b"")

    def close_now(self) -> None:
        """See Connection."""
        super().close_now()
        if self.last:
            self.port.faults.die()

    def freeze(self) -> ConnectionSnapshot:
        """See Connection; replies that wait are due at once."""
        self._cancel()
        if self.held is not None:
            self.queue.append(self.held)
            self.held = None
        self._flush()
        self._watch(select.EPOLLOUT, Ready.WRITE)
        return replace(super().freeze(), number=self.number)

    def _flush(self) -> None:
        """Send at once what waits; a part of it may remain, as `unsent`."""
        raise NotImplementedError

    def thaw(self, state: ConnectionSnapshot) -> None:
        """See Connection."""
        if state.number:
            self.number = state.number
            self.port.faults.resume(state.number)
        super().thaw(state)
        if self.unsent is None:
            self._begin()

    def _receive(self) -> bytes | None:
        """Read what belongs to one message, and nothing after it; None at end of file."""
        raise NotImplementedError

    def _has_input(self) -> bool:
        """Whether there is something to read."""
        raise NotImplementedError

    def _last_reply(self) -> bytes:
        """Return the reply to what is left at end of file; b"" for none."""
        raise NotImplementedError
