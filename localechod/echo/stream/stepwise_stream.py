"""A stream connection that is served one message at a time; see stepwise.py."""

import os
import socket
from contextlib import suppress

from localechod.echo.persist.crash_slots import NEXT_LINE
from localechod.echo.reasons import Reason
from localechod.echo.stream.framed import StreamConnection
from localechod.echo.stream.resync import rest
from localechod.echo.stream.stepwise import StepwiseConnection
from localechod.framing.interface import MessageTooLongError

# Bytes that are looked at to find the end of a line.
_PEEK = 4096


class StepwiseStream(StepwiseConnection, StreamConnection):
    """Serves one client of a stream endpoint."""

    __slots__ = ()

    def _begin(self) -> None:
        # A look at an out-of-band byte fails with EAGAIN, and the byte stays: the connection would
        # be ready for ever. In line, it is a byte like any other.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        super()._begin()

    def _receive(self) -> bytes | None:
        size = rest(self._need_framer()) or self.read_size
        if size == NEXT_LINE:
            # Descriptors go with the message of whose bytes they came with the last.
            wanted = self.read_size if self.port.config.wants_descriptors else _PEEK
            ahead = self.sock.recv(wanted, socket.MSG_PEEK)
            size = ahead.find(b"\n") + 1 or len(ahead)
        return self._recv(min(size, self.read_size))[0] or None

    def take(self, data: bytes) -> None:
        """See Connection."""
        self.active_at = self.port.reactor.now
        counters = self.port.counters
        self.received += len(data)
        counters.received_bytes += len(data)
        framer = self._need_framer()
        before, dropped = framer.messages, framer.dropped
        try:
            reply = framer.feed(data)
        except MessageTooLongError:
            counters.errors[Reason.TOO_LONG] += 1
            self.close()
            return
        counters.messages += framer.messages - before
        if framer.dropped != dropped:
            counters.errors[Reason.TOO_LONG] += 1
        if reply:
            self._answer(bytes(reply))
        else:
            self.account()

    def _last_reply(self) -> bytes:
        framer = self._need_framer()
        before, dropped = framer.messages, framer.dropped
        reply = framer.finish()
        self.port.counters.messages += framer.messages - before
        if framer.dropped != dropped:
            self.port.counters.errors[Reason.INCOMPLETE] += 1
        return bytes(reply)

    def _has_input(self) -> bool:
        return bool(self.sock.recv(1, socket.MSG_PEEK))

    def _flush(self) -> None:
        data = b"".join((self._in_one(), *self.queue))
        self.queue.clear()
        self.unsent = memoryview(data) if data else None
        if self.unsent is not None:
            with suppress(OSError):  # the client has left, or does not read
                self._count(os.write(self.fd, data))
