"""A stream connection: it answers its client by the framing of the endpoint."""

import os
import select
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from localechod.config import EndpointConfig
from localechod.echo.fastpath import CHUNKS, COMPILED, LINES, PYTHON
from localechod.echo.persist.crash_slots import BOUNDARY, BUSY, MIDDLE, UNSENT
from localechod.echo.persist.snapshot import ConnectionSnapshot
from localechod.echo.reasons import Reason
from localechod.echo.stream.connection import Connection
from localechod.echo.stream.endings import READ_SIZE
from localechod.echo.stream.resync import ResyncFramer, rest
from localechod.framing.framers import ChunkFramer, LineFramer, RecordFramer
from localechod.framing.interface import Framer, MessageTooLongError, Replies
from localechod.limits import UNCOUNTED_BYTES

# Bytes of the replies to one read, at most: a read of newlines alone grows by the prefix for each.
_REPLY_LIMIT = 1 << 20

# Bytes of one read where each message is logged, or counted as not logged, which takes Python some
# microseconds: 64 KiB of newlines would keep all others waiting for a tenth of a second.
_LOGGED_READ = 4096

# The compiled part knows no framing "record".
_KINDS = {"line": LINES, "chunk": CHUNKS, "record": PYTHON}


class StreamConnection(Connection):
    """Serves one client of a stream endpoint.

    Attributes:
        framer: None before the first message that Python answers.
    """

    __slots__ = ()

    framer: Framer | ResyncFramer | None

    def configure(self, config: EndpointConfig) -> None:
        """See Connection; the bytes of an incomplete message stay."""
        self.events = select.EPOLLIN
        self.read_size = _read_size(config)
        self.prefix, self.limit = config.prefix_bytes, config.max_message
        before = self.framer
        if before is not None:
            framer = self._framer(config)
            if not isinstance(before, ResyncFramer):
                framer.pending, framer.messages = bytes(before.pending), before.messages
                self.framer = framer
            elif before.fits(framer):
                self._skip(framer, before.skip)
            else:
                self.close()  # where the next message begins cannot be known
                return
        self.attach_slot(self.slot)

    def freeze(self) -> ConnectionSnapshot:
        """See Connection; with the bytes of an incomplete message."""
        if self.framer is None:
            return super().freeze()
        if isinstance(self.framer, ResyncFramer):
            return replace(super().freeze(), skip=self.framer.skip)
        return replace(super().freeze(), pending=bytes(self.framer.pending))

    def thaw(self, state: ConnectionSnapshot) -> None:
        """See Connection."""
        if state.pending:
            self._need_framer().pending = state.pending
        super().thaw(state)
        if state.skip:
            self._skip(self._framer(self.port.config), state.skip)
            self.set_kind()

    def record_state(self, size: int = 0) -> None:
        """See Connection."""
        slot, framer = self.slot, self.framer
        if slot is None:
            return
        ending = self.afterwards is not None
        if ending or self.unsent is not None or size > slot.atomic_size:
            slot.mark(UNSENT)
        elif framer is not None and framer.pending:
            slot.mark(MIDDLE, rest(framer))
        else:
            slot.mark(BOUNDARY)

    @property
    def messages(self) -> int:
        """See Connection: the framer and the compiled loop count."""
        answered = 0 if self.framer is None else self.framer.messages
        return answered + self.fast_messages

    @messages.setter
    def messages(self, count: int) -> None:
        self._need_framer().messages = count - self.fast_messages

    def _skip(self, framer: Framer, skip: int) -> None:
        """Discard the rest of a message whose beginning is lost, then use this framer."""
        framer.messages = self._need_framer().messages

        def done() -> None:
            self.framer = framer

        self.framer = ResyncFramer(framer, skip, done)

    def _need_framer(self) -> Framer | ResyncFramer:
        if self.framer is None:
            self.framer = self._framer(self.port.config)
        return self.framer

    def _framer(self, config: EndpointConfig) -> Framer:
        observe = partial(self.port.observe, uid=self.uid) if config.log_messages else None
        prefix, limit = config.prefix_bytes, config.max_message
        if config.framing == "line":
            return LineFramer(prefix, limit, observe)
        if config.framing == "record":
            return RecordFramer(prefix, limit, config.record_size, observe)
        return ChunkFramer(prefix, observe)

    def _fast_kind(self) -> int:
        config, framer = self.port.config, self.framer
        if config.log_messages or (framer is not None and framer.pending):
            return PYTHON
        return _KINDS[config.framing]

    def serve(self, _events: int) -> None:
        """See Connection."""
        if self.unsent is not None:
            self.active_at = self.port.reactor.now
            self.send(self.unsent)
            return
        slot = self.slot
        if slot is not None:
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
        self.active_at = self.port.reactor.now
        counters = self.port.counters
        self.received += len(data)
        counters.received_bytes += len(data)
        framer = self._need_framer()
        before = framer.messages
        try:
            if self.port.config.framing == "record":
                reply = self._feed_record(framer, data)
            else:
                reply = framer.feed(data)
        except MessageTooLongError as error:
            counters.messages += framer.messages - before
            counters.errors[Reason.TOO_LONG] += 1
            self._send_last(error.replies, self.close)
            return
        counters.messages += framer.messages - before
        slot = self.slot
        if slot is not None:
            # Before the reply: the send wakes the client, so a kill is most likely right after it.
            if framer.pending or len(reply) > slot.atomic_size:
                self.record_state(len(reply))
            else:
                slot.memory[slot.at] = BOUNDARY
        if reply:
            self.send(reply)
        if slot is not None and len(reply) > slot.atomic_size:
            self.record_state()
        # Only in these cases can the pending bytes have grown past UNCOUNTED_BYTES.
        if not reply or len(data) > UNCOUNTED_BYTES or self in self.port.buffers:
            self.account()
        if COMPILED:
            self.set_kind()

    def _feed_record(self, framer: Framer | ResyncFramer, data: bytes) -> Replies:
        """Feed a framer that may drop a message and continue."""
        dropped = framer.dropped
        reply = framer.feed(data)
        if framer.dropped != dropped:
            self.port.counters.errors[Reason.TOO_LONG] += framer.dropped - dropped
        return reply

    def end(self) -> None:
        """See Connection; the rest is answered before."""
        framer = self._need_framer()
        dropped, before = framer.dropped, framer.messages
        reply = framer.finish()
        self.port.counters.messages += framer.messages - before
        if framer.dropped != dropped:
            self.port.counters.errors[Reason.INCOMPLETE] += 1
        self._send_last(reply, self.close_now)

    def _send_last(self, reply: Replies, afterwards: Callable[[], None]) -> None:
        self.afterwards = afterwards
        self.record_state()
        if reply:
            self.send(reply)
        else:
            afterwards()

    def buffered(self) -> int:
        """See Connection; with the bytes of an incomplete message."""
        return super().buffered() + (0 if self.framer is None else len(self.framer.pending))


def _read_size(config: EndpointConfig) -> int:
    if config.framing == "chunk":
        return min(READ_SIZE, config.max_message)
    if config.log_messages:
        return _LOGGED_READ
    return max(4096, min(READ_SIZE, _REPLY_LIMIT // (1 + len(config.prefix_bytes))))
