"""What stream and seqpacket connections share: who is there, what is unsent, how it ends."""

import errno
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from localechod.config import EndpointConfig
from localechod.echo.counters import Counters
from localechod.echo.fastpath import COMPILED, PYTHON, Flow
from localechod.echo.persist.crash_keep import CrashKeeper
from localechod.echo.persist.crash_slots import BOUNDARY, NO_SLOT, Slot
from localechod.echo.persist.snapshot import ConnectionSnapshot
from localechod.echo.reactor import Reactor
from localechod.echo.status import PeerRow
from localechod.echo.stream.buffers import SMALL
from localechod.localsocket.peer import Credentials

READ_SIZE = 65536


class Port(Protocol):
    """What a connection needs to know of the listener that accepted it."""

    reactor: Reactor
    config: EndpointConfig
    counters: Counters
    crash_keeper: CrashKeeper

    def observe(self, message: bytes) -> None:
        """Log a message, on an endpoint with `log_messages`."""
        ...

    def connection_closed(self, connection: "Connection") -> None:
        """Take back the place of a connection that has closed."""
        ...


class Connection(Flow):
    """One client. While a reply is unsent nothing is read: a peer that never reads costs one reply.

    Attributes:
        slot: where it leaves word, should we end without one; NOWHERE for most.
    """

    __slots__ = (
        *("_afterwards", "_reactor", "_reported", "_unsent", "peer", "port", "slot", "sock"),
    )

    # What it waits for while nothing is unsent; epoll_ctl(2).
    events = select.EPOLLIN

    # How many messages have been answered.
    messages: int

    # What to do once everything is sent, where the connection is to end: release or close.
    _afterwards: Callable[[], None] | None

    def __init__(self, sock: socket.socket, peer: Credentials, port: Port) -> None:
        super().__init__()
        self.sock = sock
        self.fd = sock.fileno()
        self.peer = peer
        self.port = port
        self._reactor = port.reactor
        self.accepted_at = self.active_at = self._reactor.now
        self._unsent: memoryview | None = None
        self._afterwards = None
        self._reported = 0
        self.slot = NO_SLOT
        self._reactor.register(self.fd, self.events, self.serve)

    def configure(self, config: EndpointConfig) -> None:
        """Go on under other settings; what was read and not answered falls under them too."""
        raise NotImplementedError

    def serve(self, events: int) -> None:
        """Do what the descriptor is ready for: a read and its reply, or more of an unsent reply."""
        raise NotImplementedError

    def take(self, data: bytes) -> None:
        """Answer what has just been read."""
        raise NotImplementedError

    def _fast_kind(self) -> int:
        """Return the kind of its messages that the inner loop may serve while all is in order."""
        raise NotImplementedError

    def set_kind(self) -> None:
        """Let the inner loop serve it, or not, after something has changed."""
        if COMPILED:
            plain = self._unsent is None and self._afterwards is None
            self.kind = self._fast_kind() if plain and self.sock.fileno() >= 0 else PYTHON

    def attach_slot(self, slot: Slot) -> None:
        """Leave word in this slot from now on; in NOWHERE, none."""
        config = self.port.config
        self.slot = slot
        framing = config.framing if config.type == "stream" else ""
        slot.describe(config.name, framing, config.record_size)
        self.atomic_size = slot.atomic_size
        self.slot_byte = None if slot is NO_SLOT else memoryview(slot.memory)[slot.at : slot.at + 1]
        self.record_state()
        self.set_kind()

    def record_state(self, size: int = 0) -> None:
        """Write into the slot where the connection is in its client's bytes.

        Args:
            size: of a reply that is about to be sent, in bytes.
        """
        del size  # a record is sent whole or not at all
        self.slot.mark(BOUNDARY)

    def freeze(self) -> ConnectionSnapshot:
        """Describe the connection for the process that goes on with it."""
        return ConnectionSnapshot(
            pid=self.peer.pid,
            uid=self.peer.uid,
            gid=self.peer.gid,
            groups=tuple(self.peer.groups),
            accepted_at=self.accepted_at,
            active_at=self.active_at,
            messages=self.messages,
            received=self.received,
            sent=self.sent,
            unsent=None if self._unsent is None else bytes(self._unsent),
            ending=self._afterwards is not None,
            serial=self.slot.serial,
        )

    def thaw(self, state: ConnectionSnapshot) -> None:
        """Go on where another process stopped; see `freeze`."""
        self.accepted_at, self.active_at = state.accepted_at, state.active_at
        self.messages = state.messages
        self.received, self.sent = state.received, state.sent
        if state.ending:
            self._afterwards = self.close
        if state.unsent is not None:
            self._unsent = memoryview(state.unsent)
            self._reactor.modify(self.fd, select.EPOLLOUT)
        self.account()
        self.set_kind()

    def row(self) -> PeerRow:
        """Describe the peer."""
        return PeerRow(
            endpoint=self.port.config.name,
            pid=self.peer.pid,
            uid=self.peer.uid,
            # Not the engine's clock: it stands still while nothing happens.
            since=time.monotonic() - self.accepted_at,
            messages=self.messages,
            received_bytes=self.received,
            sent_bytes=self.sent,
        )

    def drain(self) -> None:
        """Take nothing new; answer what has been received, then close.

        On a local socket SHUT_RD is the exact cut: what lies in the queue is still read, then comes
        end of file; the peer's next write gets EPIPE.
        """
        with suppress(
            OSError
        ):  # ENOTCONN: the peer has gone already, and reading on finds that out
            self.sock.shutdown(socket.SHUT_RD)

    def finish(self) -> None:
        """Answer what has been received as far as the peer takes it at once, then close."""
        self.port.crash_keeper.unkeep(self)
        self.drain()
        # After SHUT_RD every read returns, and the queue is finite: this ends with end of file.
        while self.fd in self._reactor and self._unsent is None:
            self.serve(select.EPOLLIN | select.EPOLLRDHUP)
        if self.fd in self._reactor:
            self.close()

    def close(self) -> None:
        """Close so that the peer reads what was sent and then end of file.

        close(2) with unread bytes in the queue would give it ECONNRESET instead, so they are read
        first; after shutdown(2) no more can come.
        """
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
            while self.discard():
                pass
        self.close_now()

    def buffered(self) -> int:
        """Return the bytes kept for this client: a reply that is not sent yet, all of it."""
        return 0 if self._unsent is None else memoryview(self._unsent.obj).nbytes

    def account(self) -> None:
        """Report what is kept, after it may have changed; the connection may be closed for it."""
        size = self.buffered()
        size = size if size > SMALL else 0
        if size != self._reported and self.sock.fileno() >= 0:
            self._reported = size
            self._reactor.buffers.report(self, size)

    def evict(self) -> None:
        """Close: all connections together keep too much, and this one most."""
        self.port.counters.errors["memory_limit"] += 1
        self.close()

    def discard(self) -> bool:
        """Read something and forget it; False at end of file."""
        return bool(os.read(self.fd, READ_SIZE))

    def close_now(self) -> None:
        """Close at once; right where nothing is left to read."""
        self.port.crash_keeper.leave(self)
        self.kind = PYTHON
        self._reactor.unregister(self.fd)
        self.sock.close()
        if self._reported:
            self._reported = 0
            self._reactor.buffers.report(self, 0)
        self.port.connection_closed(self)

    def fail(self, error: OSError) -> None:
        """Count why the connection broke, and close it."""
        reason = _BROKEN.get(
            error.errno or 0, errno.errorcode.get(error.errno or 0, "unknown").lower()
        )
        self.port.counters.errors[reason] += 1
        self.close_now()

    def send(self, reply: bytes | memoryview) -> None:
        """Write a reply, or what is left of one; what does not fit waits for EPOLLOUT."""
        try:
            sent = os.write(self.fd, reply)
        except BlockingIOError:
            sent = -1
        except OSError as error:
            self.fail(error)
            return
        if sent > 0:
            self.sent += sent
        if sent != len(reply) or self._unsent is not None or self._afterwards is not None:
            self.on_sent(reply, sent)

    def on_sent(self, reply: bytes | memoryview, sent: int) -> None:
        """Keep what of a reply was not sent, or go on after all of it was.

        Args:
            reply: what was to be sent.
            sent: how many bytes were; -1 for none, not even an empty record.
        """
        if sent < len(reply):
            if self._unsent is None:
                self._reactor.modify(self.fd, select.EPOLLOUT)
            self._unsent = memoryview(reply)[max(sent, 0) :]
            self.account()
        elif self._afterwards is not None:
            self._afterwards()
        elif self._unsent is not None:
            self._unsent = None
            self._reactor.modify(self.fd, self.events)
            self.record_state()
            self.account()
        self.set_kind()


_BROKEN = {
    errno.EPIPE: "broken_pipe",
    errno.ECONNRESET: "connection_reset",
    errno.EMSGSIZE: "reply_too_long",
}


def hang_up(sock: socket.socket) -> None:
    """Close a connection that nobody serves, so that its client reads end of file, not a reset."""
    with suppress(OSError):
        sock.setblocking(False)
        sock.shutdown(socket.SHUT_RDWR)
        while sock.recv(READ_SIZE):
            pass
    sock.close()
