"""A seqpacket connection: records in, replies out, one for one."""

import errno
import os
import select
import socket

from localechod.config import EndpointConfig
from localechod.echo.fastpath import LONGEST_READ, PYTHON, SEQPACKET
from localechod.echo.stream.connection import Connection
from localechod.echo.stream.port import Port
from localechod.localsocket.peer import Credentials

# Space for struct ucred with its header alone (CMSG_SPACE(3) rounds up). The kernel closes passed
# descriptors that do not fit, so clients cannot fill this process's table.
_ANCILLARY = socket.CMSG_SPACE(12)


class SeqpacketConnection(Connection):
    """Serves one client of a seqpacket endpoint."""

    __slots__ = ("_answered",)

    # An empty record and end of file both read as 0 bytes. Before EPOLLRDHUP a read of 0 bytes is
    # an empty record.
    events = select.EPOLLIN | select.EPOLLRDHUP

    def __init__(self, sock: socket.socket, peer: Credentials, port: Port) -> None:
        super().__init__(sock, peer, port)
        self._answered = 0
        # After EPOLLRDHUP, SO_PASSCRED distinguishes an empty record, which has its sender's
        # credentials, from end of file, which has none.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.configure(port.config)

    def configure(self, config: EndpointConfig) -> None:
        """See Connection."""
        self.prefix, self.limit = config.prefix_bytes, config.max_message
        # One byte more than allowed shows that a record was longer; the kernel discards the rest.
        self.read_size = min(self.limit + 1, LONGEST_READ)
        self.set_kind()

    @property
    def messages(self) -> int:
        """See Connection."""
        return self._answered + self.fast_messages

    @messages.setter
    def messages(self, count: int) -> None:
        self._answered = count - self.fast_messages

    def _fast_kind(self) -> int:
        fits = self.limit < LONGEST_READ and not self.port.config.log_messages
        return SEQPACKET if fits else PYTHON

    def serve(self, events: int) -> None:
        """See Connection."""
        now = self._reactor.now
        if self._unsent is not None:
            self.active_at = now
            self.send(self._unsent)
            return
        try:
            # An event in the round in which the connection was accepted may be for an earlier one
            # that had the same descriptor.
            if events == select.EPOLLIN and now != self.accepted_at:
                record: bytes | None = os.read(self.fd, self.limit + 1)
            else:
                record = self._record_or_end()
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        if record is None:
            self.close_now()
        else:
            self.take(record)

    def take(self, record: bytes) -> None:
        """See Connection."""
        self.active_at = self._reactor.now
        self.received += len(record)
        if len(record) > self.limit:
            self.port.counters.errors["too_long"] += 1
            return
        if self.port.config.log_messages:
            self.port.observe(record)
        self._answered += 1
        self.send(self.prefix + record)

    def _record_or_end(self) -> bytes | None:
        """Return the next record, or None at end of file."""
        record, ancillary, _flags, _sender = self.sock.recvmsg(self.limit + 1, _ANCILLARY)
        return record if record or ancillary else None

    def discard_input(self) -> bool:
        """See Connection; an empty record is not end of file."""
        return self._record_or_end() is not None

    def fail(self, error: OSError) -> None:
        """See Connection; a reply too long for the socket is dropped, and the connection stays."""
        if error.errno == errno.EMSGSIZE:
            self.port.counters.errors["reply_too_long"] += 1
        else:
            super().fail(error)
