"""A stream connection: bytes in, replies out, by the framing of its endpoint."""

import os
import socket

from msgspec.structs import replace

from localechod.config import EndpointConfig
from localechod.echo.connection import READ_SIZE, Connection, Port
from localechod.echo.memory import SMALL
from localechod.echo.skipping import SkippingFramer, rest
from localechod.echo.slots import BOUNDARY, BUSY, MIDDLE, NOWHERE, UNSENT
from localechod.echo.state import ConnectionState
from localechod.framing import (
    ChunkFramer,
    Framer,
    LineFramer,
    MessageTooLongError,
    Observer,
    RecordFramer,
)
from localechod.localsocket.peer import Credentials

# The most that the replies to one read may come to, in bytes: a read of nothing but newlines grows
# by the prefix for each of them.
_REPLY_LIMIT = 1 << 20


class StreamConnection(Connection):
    """Serves one client of a stream endpoint."""

    __slots__ = ("_framer", "_read_size")

    _framer: Framer | SkippingFramer

    def __init__(self, sock: socket.socket, peer: Credentials, port: Port) -> None:
        super().__init__(sock, peer, port)
        self._adopt(port.config, b"")

    def configure(self, config: EndpointConfig) -> None:
        """See Connection; bytes of an incomplete message are kept."""
        before = self._framer
        if not isinstance(before, SkippingFramer):
            self._adopt(config, before.pending)
        elif before.fits(self._adopt(config, b"")):
            self._skip(before.skip)
        else:
            self.close()  # nobody knows where a message of the new kind begins
            return
        self.guard(self.slot)

    def freeze(self) -> ConnectionState:
        """See Connection; with the bytes of an incomplete message."""
        if isinstance(self._framer, SkippingFramer):
            return replace(super().freeze(), skip=self._framer.skip)
        return replace(super().freeze(), pending=self._framer.pending)

    def thaw(self, state: ConnectionState) -> None:
        """See Connection."""
        self._framer.pending = state.pending
        if state.skip:
            self._skip(state.skip)
        super().thaw(state)

    def leave_word(self, size: int = 0) -> None:
        """See Connection."""
        ending = self._afterwards is not None
        if ending or self._unsent is not None or size > self.slot.whole:
            self.slot.mark(UNSENT)
        elif self._framer.pending:
            self.slot.mark(MIDDLE, rest(self._framer))
        else:
            self.slot.mark(BOUNDARY)

    def _skip(self, skip: int) -> None:
        """Go on where the beginning of a message is lost."""
        framer = self._adopt(self.port.config, b"")

        def done() -> None:
            self._framer = framer

        self._framer = SkippingFramer(framer, skip, done)

    def _adopt(self, config: EndpointConfig, pending: bytes) -> Framer:
        framer = _framer(config, self.port.observe if config.log_messages else None)
        framer.pending = pending
        self._framer = framer
        self._read_size = _read_size(config)
        return framer

    def serve(self, _events: int) -> None:  # noqa: C901 - one path: a call costs more than its steps
        """See Connection."""
        port, slot = self.port, self.slot
        kept = slot is not NOWHERE
        self.active = port.engine.now
        if self._unsent is not None:
            self.send(self._unsent)
            return
        if kept:
            slot.memory[slot.at] = BUSY
        try:
            data = os.read(self.fd, self._read_size)
        except BlockingIOError:
            self.leave_word()
            return
        except OSError as error:
            self.fail(error)
            return
        self.received += len(data)
        port.counters.received_bytes += len(data)
        reply = self._answer(data)
        if kept:
            # Before the reply: it wakes the client up, and most kills would come right after it.
            if self._framer.pending or len(reply) > slot.whole or self._afterwards is not None:
                self.leave_word(len(reply))
            else:
                slot.memory[slot.at] = BOUNDARY
        if reply:
            self.send(reply)
        elif self._afterwards is not None:
            self._afterwards()
        if kept and len(reply) > slot.whole:
            self.leave_word()
        if self._held or len(self._framer.pending) > SMALL:
            self.account()

    def kept(self) -> int:
        """See Connection; and an incomplete message."""
        return super().kept() + len(self._framer.pending)

    def _answer(self, data: bytes) -> bytes:
        framer, counters = self._framer, self.port.counters
        messages, dropped = framer.messages, framer.dropped
        try:
            if data:
                reply = framer.feed(data)
            else:
                self._afterwards = self.release
                reply = framer.finish()
        except MessageTooLongError as error:
            self._afterwards = self.close
            reply = error.replies
        answered = framer.messages - messages
        self.messages += answered
        counters.messages += answered
        if framer.dropped != dropped:
            counters.errors["too_long" if data else "incomplete"] += framer.dropped - dropped
        return reply


def _framer(config: EndpointConfig, observe: Observer | None) -> Framer:
    if config.framing == "line":
        return LineFramer(config.prefix_bytes, config.max_message, observe)
    if config.framing == "record":
        return RecordFramer(config.prefix_bytes, config.max_message, config.record_size, observe)
    return ChunkFramer(config.prefix_bytes, observe)


def _read_size(config: EndpointConfig) -> int:
    if config.framing == "chunk":
        return min(READ_SIZE, config.max_message)
    return max(4096, min(READ_SIZE, _REPLY_LIMIT // (1 + len(config.prefix_bytes))))
