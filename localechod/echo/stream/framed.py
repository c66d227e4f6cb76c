"""A stream connection: it answers its client by the framing of the endpoint."""

import os
import socket
from collections.abc import Callable

from msgspec.structs import replace

from localechod.config import EndpointConfig
from localechod.echo.fastpath import CHUNKS, COMPILED, LINES, PYTHON
from localechod.echo.persist.crash_slots import BOUNDARY, BUSY, MIDDLE, NO_SLOT, UNSENT
from localechod.echo.persist.snapshot import ConnectionSnapshot
from localechod.echo.stream.buffers import SMALL
from localechod.echo.stream.connection import READ_SIZE, Connection
from localechod.echo.stream.port import Port
from localechod.echo.stream.resync import ResyncFramer, rest
from localechod.framing import (
    ChunkFramer,
    Framer,
    LineFramer,
    MessageTooLongError,
    RecordFramer,
)
from localechod.localsocket.peer import Credentials

# Bytes of the replies to one read, at most: a read of newlines alone grows by the prefix for each.
_REPLY_LIMIT = 1 << 20


class StreamConnection(Connection):
    """Serves one client of a stream endpoint."""

    __slots__ = ("_feed", "_framer")

    _framer: Framer | ResyncFramer

    def __init__(self, sock: socket.socket, peer: Credentials, port: Port) -> None:
        super().__init__(sock, peer, port)
        self._use(_framer(port.config, port))
        self.set_kind()

    def configure(self, config: EndpointConfig) -> None:
        """See Connection; the bytes of an incomplete message stay."""
        before, framer = self._framer, _framer(config, self.port)
        if not isinstance(before, ResyncFramer):
            framer.pending, framer.messages = before.pending, before.messages
            self._use(framer)
        elif before.fits(framer):
            self._skip(framer, before.skip)
        else:
            self.close()  # where the next message begins cannot be known
            return
        self.attach_slot(self.slot)

    def freeze(self) -> ConnectionSnapshot:
        """See Connection; with the bytes of an incomplete message."""
        if isinstance(self._framer, ResyncFramer):
            return replace(super().freeze(), skip=self._framer.skip)
        return replace(super().freeze(), pending=bytes(self._framer.pending))

    def thaw(self, state: ConnectionSnapshot) -> None:
        """See Connection."""
        self._framer.pending = state.pending
        super().thaw(state)
        if state.skip:
            self._skip(_framer(self.port.config, self.port), state.skip)
            self.set_kind()

    def record_state(self, size: int = 0) -> None:
        """See Connection."""
        ending = self._afterwards is not None
        if ending or self._unsent is not None or size > self.slot.atomic_size:
            self.slot.mark(UNSENT)
        elif self._framer.pending:
            self.slot.mark(MIDDLE, rest(self._framer))
        else:
            self.slot.mark(BOUNDARY)

    @property
    def messages(self) -> int:
        """See Connection: the framer and the compiled loop count."""
        return self._framer.messages + self.fast_messages

    @messages.setter
    def messages(self, count: int) -> None:
        self._framer.messages = count - self.fast_messages

    def _skip(self, framer: Framer, skip: int) -> None:
        """Discard the rest of a message whose beginning is lost, then use this framer."""
        framer.messages = self._framer.messages
        self._use(ResyncFramer(framer, skip, lambda: self._use(framer)))

    def _use(self, framer: Framer | ResyncFramer) -> None:
        self._framer = framer
        config = self.port.config
        self.read_size = _read_size(config)
        self.prefix, self.limit = config.prefix_bytes, config.max_message
        self._feed = self._feed_records if config.framing == "record" else framer.feed

    def _fast_kind(self) -> int:
        framer = self._framer
        if framer.pending or self.port.config.log_messages:
            return PYTHON
        if isinstance(framer, ChunkFramer):
            return PYTHON if framer.prefix else CHUNKS
        return LINES if isinstance(framer, LineFramer) else PYTHON

    def serve(self, _events: int) -> None:
        """See Connection."""
        if self._unsent is not None:
            self.active_at = self._reactor.now
            self.send(self._unsent)
            return
        slot = self.slot
        if slot is not NO_SLOT:
            slot.memory[slot.at] = BUSY
        try:
            data = os.read(self.fd, self.read_size)
        except BlockingIOError:
            self.record_state()
            return
        except OSError as error:
            self.fail(error)
            return
        if data:
            self.take(data)
        else:
            self.end()

    def take(self, data: bytes) -> None:
        """See Connection."""
        self.active_at = self._reactor.now
        self.received += len(data)
        try:
            reply = self._feed(data)
        except MessageTooLongError as error:
            self.port.counters.errors["too_long"] += 1
            self._send_last(error.replies, self.close)
            return
        slot = self.slot
        marked = slot is not NO_SLOT
        if marked:
            # Before the reply: the send wakes the client, so a kill is most likely right after it.
            if self._framer.pending or len(reply) > slot.atomic_size:
                self.record_state(len(reply))
            else:
                slot.memory[slot.at] = BOUNDARY
        if reply:
            self.send(reply)
        if marked and len(reply) > slot.atomic_size:
            self.record_state()
        # Only in these cases can the pending bytes have grown past SMALL.
        if not reply or self._reported or len(data) > SMALL:
            self.account()
        if COMPILED:
            self.set_kind()

    def _feed_records(self, data: bytes) -> bytes:
        """Feed a framer that may drop a message and continue."""
        framer = self._framer
        dropped = framer.dropped
        reply = framer.feed(data)
        if framer.dropped != dropped:
            self.port.counters.errors["too_long"] += framer.dropped - dropped
        return reply

    def end(self) -> None:
        """At end of file, answer the rest, and close."""
        dropped = self._framer.dropped
        reply = self._framer.finish()
        if self._framer.dropped != dropped:
            self.port.counters.errors["incomplete"] += 1
        self._send_last(reply, self.close_now)

    def _send_last(self, reply: bytes, afterwards: Callable[[], None]) -> None:
        self._afterwards = afterwards
        self.record_state()
        if reply:
            self.send(reply)
        else:
            afterwards()

    def buffered(self) -> int:
        """See Connection; with the bytes of an incomplete message."""
        return super().buffered() + len(self._framer.pending)


def _framer(config: EndpointConfig, port: Port) -> Framer:
    observe = port.observe if config.log_messages else None
    if config.framing == "line":
        return LineFramer(config.prefix_bytes, config.max_message, observe)
    if config.framing == "record":
        return RecordFramer(config.prefix_bytes, config.max_message, config.record_size, observe)
    return ChunkFramer(config.prefix_bytes, observe)


def _read_size(config: EndpointConfig) -> int:
    if config.framing == "chunk":
        return min(READ_SIZE, config.max_message)
    return max(4096, min(READ_SIZE, _REPLY_LIMIT // (1 + len(config.prefix_bytes))))
