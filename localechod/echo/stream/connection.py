"""What stream and seqpacket connections share: the peer, an unsent reply, and how they end.

A connection ends in one of these ways:

- `drain` answers what was received, when it comes to it, and then closes.
- `finish` does so at once, as far as the client reads, and then closes.
- `close` discards what was received; the client reads end of file.
- `close_now` does not even read it; the client may get ECONNRESET. The others end with this.
- `fail` counts an error, and `evict` a full memory, before they close.
"""

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from localechod.config import EndpointConfig
from localechod.echo.fastpath import COMPILED, PYTHON
from localechod.echo.persist.snapshot import ConnectionSnapshot
from localechod.echo.reasons import Reason
from localechod.echo.status import PeerRow
from localechod.echo.stream.buffers import BufferBudget, BufferedFlow
from localechod.echo.stream.endings import READ_SIZE, reason
from localechod.echo.stream.port import Port
from localechod.framing.pieces import Pieces
from localechod.localsocket.closing import has_unread

# Pieces that are written at a time: more than the socket takes.
_PIECES = 8


class Connection(BufferedFlow):
    """One client's connection.

    While a reply is unsent nothing is read, so a peer that never reads costs one reply.

    Everything that an ordinary connection needs is in Flow, whose attributes begin as None or 0, so
    that the compiled part can make one. Each listener has one without a descriptor as a model for
    all others (`Flow.like`).

    Attributes:
        unsent: what is not sent yet of a reply.
        afterwards: where the connection is to end: what to call when all is sent, `close_now` or
            `close`.
    """

    __slots__ = ()

    port: Port
    _sock: socket.socket | None
    unsent: memoryview | Pieces | None
    afterwards: Callable[[], None] | None

    # How many messages have been answered.
    messages: int

    @classmethod
    def model(cls, port: Port) -> Self:
        """Return a connection without a descriptor, for all others to be like."""
        model = cls()
        model.port = port
        model.totals = port.counters
        model.configure(port.config)
        return model

    def begin(self, fd: int, pid: int, uid: int, gid: int) -> Self:
        """Return a connection like this model, with this descriptor; it is served from now on."""
        reactor = self.port.reactor
        connection = self.like(fd, pid, uid, gid, reactor.now)
        reactor.register(fd, self.events, connection)
        return connection

    def configure(self, config: EndpointConfig) -> None:
        """Continue with other settings; they apply to an incomplete message as well."""
        raise NotImplementedError

    @property
    def sock(self) -> socket.socket:
        """The socket object, which is made when it is needed first."""
        if self._sock is None:
            self._sock = socket.socket(socket.AF_UNIX, self.port.socket_type, 0, self.fd)
        return self._sock

    def serve(self, events: int) -> None:
        """Read and answer, or send more of an unsent reply, as the descriptor is ready."""
        raise NotImplementedError

    def take(self, data: bytes) -> None:
        """Answer the bytes of one read."""
        raise NotImplementedError

    def _fast_kind(self) -> int:
        """Return the kind that lets the compiled loop serve this connection; else PYTHON.

        Whether a reply is unsent need not be considered.
        """
        raise NotImplementedError

    def set_kind(self) -> None:
        """Set `kind`: PYTHON while a reply is unsent or the connection ends, else `_fast_kind`."""
        if COMPILED:
            plain = self.unsent is None and self.afterwards is None
            self.kind = self._fast_kind() if plain else PYTHON

    def _config(self) -> EndpointConfig:
        return self.port.config

    def _budget(self) -> BufferBudget:
        return self.port.buffers

    def freeze(self) -> ConnectionSnapshot:
        """Describe the connection for the next process."""
        return ConnectionSnapshot(
            pid=self.pid,
            uid=self.uid,
            gid=self.gid,
            accepted_at=self.accepted_at,
            active_at=self.active_at,
            messages=self.messages,
            received=self.received,
            sent=self.sent,
            unsent=None if self.unsent is None else bytes(self.unsent),
            ending=self.afterwards is not None,
            serial=0 if self.slot is None else self.slot.serial,
        )

    def thaw(self, state: ConnectionSnapshot) -> None:
        """Continue with what another process's `freeze` returned."""
        self.accepted_at, self.active_at = state.accepted_at, state.active_at
        self.messages = state.messages
        self.received, self.sent = state.received, state.sent
        if state.ending:
            self.afterwards = self.close
        if state.unsent is not None:
            self.unsent = memoryview(state.unsent)
            self.port.reactor.modify(self.fd, select.EPOLLOUT)
        self.account()
        self.set_kind()

    def release(self) -> socket.socket:
        """Stop serving, without closing; return the socket, for another object to go on with."""
        sock = self.sock
        self.kind = PYTHON
        self.port.reactor.unregister(self.fd)
        self.fd = -1
        if self in self.port.buffers:
            self.port.buffers.report(self, 0)
        return sock

    def row(self) -> PeerRow:
        """Describe the peer."""
        return PeerRow(
            endpoint=self.port.config.name,
            pid=self.pid,
            uid=self.uid,
            # Not by the reactor's clock, which stands still while nothing happens.
            connected_seconds=time.monotonic() - self.accepted_at,
            messages=self.messages,
            received_bytes=self.received,
            sent_bytes=self.sent,
        )

    def drain(self) -> None:
        """Receive nothing new; answer what has been received, then close.

        On a local socket SHUT_RD cuts exactly here: bytes in the queue are still read, and then end
        of file. The peer's next write gets EPIPE.
        """
        with suppress(OSError):  # ENOTCONN: the peer has gone, which the next read finds
            self.sock.shutdown(socket.SHUT_RD)

    def finish(self) -> None:
        """Answer what has been received, as far as the peer reads it at once, then close."""
        self.port.crash_keeper.unkeep(self)
        self.drain()
        # After SHUT_RD the queue cannot grow: this loop ends at end of file.
        while self.fd in self.port.reactor and self.unsent is None:
            self.serve(select.EPOLLIN | select.EPOLLRDHUP)
        if self.fd in self.port.reactor:
            self.close()

    def close(self) -> None:
        """Close so that the peer reads what was sent, and then end of file.

        close(2) with unread bytes in the queue would give the peer ECONNRESET instead. So they are
        read first; after shutdown(2) no more can come.
        """
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
            while self.discard_input():
                pass
        self.close_now()

    def buffered(self) -> int:
        """Return the bytes in memory for this client: all of a reply of which a part is unsent."""
        if isinstance(self.unsent, memoryview):
            return memoryview(self.unsent.obj).nbytes
        return 0 if self.unsent is None else len(self.unsent)

    def evict(self) -> None:
        """Close: all connections together have buffered too much, and this one most."""
        self.port.counters.errors[Reason.MEMORY_LIMIT] += 1
        self.close()

    def discard_input(self) -> bool:
        """Read some bytes and discard them; False at end of file."""
        return bool(os.read(self.fd, READ_SIZE))

    def close_now(self) -> None:
        """Close at once; the peer gets ECONNRESET if we have not read all of its bytes.

        Where the peer has not read all of ours, the socket stays open until it has (`lingering`).
        """
        if self.slot is not None:
            self.port.crash_keeper.leave(self)
        self.kind = PYTHON
        # close(2) would do it as well, unless systemd's store has a duplicate.
        if self.fd in self.port.reactor:
            self.port.reactor.unregister(self.fd)
        if has_unread(self.fd):
            self.port.linger(self.sock, self.uid)
        elif self._sock is None:
            os.close(self.fd)
        else:
            self._sock.close()
        self.fd = -1
        self.closed()

    def end(self) -> None:
        """At end of file, close."""
        self.close_now()

    def closed(self) -> None:
        """Note that the descriptor is closed; the compiled part calls this at end of file."""
        port = self.port
        if self in port.buffers:
            port.buffers.report(self, 0)
        port.connection_closed(self)

    def failed(self, error: Exception) -> None:
        """See Handler."""
        self.port.failed(error)
        if self.fd >= 0:
            self.close_now()

    def fail(self, error: OSError) -> None:
        """Count why the connection broke, and close it."""
        self.port.counters.errors[reason(error)] += 1
        self.close_now()

    def send(self, reply: bytes | memoryview | Pieces) -> None:
        """Write a reply, or the rest of one; bytes that do not fit wait for EPOLLOUT."""
        try:
            if isinstance(reply, Pieces):
                sent = os.writev(self.fd, reply.some(_PIECES))
            else:
                sent = os.write(self.fd, reply)
        except BlockingIOError:
            sent = -1
        except OSError as error:
            self.fail(error)
            return
        if sent > 0:
            self.sent += sent
            self.port.counters.sent_bytes += sent
        if sent != len(reply) or self.unsent is not None or self.afterwards is not None:
            self.on_sent(reply, sent)

    def on_sent(self, reply: bytes | memoryview | Pieces, sent: int) -> None:
        """Buffer the unsent part of a reply, or continue after all of it was sent.

        Args:
            reply: the bytes that were to be sent.
            sent: how many of them were; -1 for none, not even an empty record.
        """
        if sent < len(reply):
            if self.unsent is None:
                self.port.reactor.modify(self.fd, select.EPOLLOUT)
            if isinstance(reply, Pieces):
                reply.drop(max(sent, 0))
                self.unsent = reply
            else:
                self.unsent = memoryview(reply)[max(sent, 0) :]
            self.account()
        elif self.afterwards is not None:
            self.afterwards()
        elif self.unsent is not None:
            self.unsent = None
            self.port.reactor.modify(self.fd, self.events)
            self.record_state()
            self.account()
        self.set_kind()
