"""A seqpacket connection: records in, replies out, one for one."""

import errno
import os
import select
import socket

from localechod.config import EndpointConfig
from localechod.echo.fastpath import LONGEST_READ, PYTHON, SEQPACKET
from localechod.echo.reasons import Reason
from localechod.echo.stream.connection import Connection

# Space for struct ucred with its header alone (CMSG_SPACE(3) rounds up). The kernel closes passed
# descriptors that do not fit, so clients cannot fill this process's table.
ANCILLARY = socket.CMSG_SPACE(12)


class SeqpacketConnection(Connection):
    """Serves one client of a seqpacket endpoint."""

    __slots__ = ()

    def configure(self, config: EndpointConfig) -> None:
        """See Connection."""
        # An empty record and end of file both read as 0 bytes. Before EPOLLRDHUP a read of 0 bytes
        # is an empty record. After it, SO_PASSCRED distinguishes them: an empty record has its
        # sender's credentials, and end of file has none. The poller sets it on each connection that
        # it accepts: what a connection inherits of its listener depends on the kernel.
        self.events = select.EPOLLIN | select.EPOLLRDHUP
        self.prefix, self.limit = config.prefix_bytes, config.max_message
        # One byte more than allowed shows that a record was longer; the kernel discards the rest.
        self.read_size = min(self.limit + 1, LONGEST_READ)
        self.set_kind()

    @property
    def messages(self) -> int:
        """See Connection."""
        return self.fast_messages

    @messages.setter
    def messages(self, count: int) -> None:
        self.fast_messages = count

    def _fast_kind(self) -> int:
        fits = self.limit < LONGEST_READ and not self.port.config.log_messages
        return SEQPACKET if fits else PYTHON

    def serve(self, events: int) -> None:
        """See Connection."""
        if self.unsent is not None:
            self.active_at = self.port.reactor.now
            self.send(self.unsent)
            return
        try:
            if events == select.EPOLLIN:
                record: bytes | None = os.read(self.fd, self.limit + 1)
            else:
                record = self._record_or_end()
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        if record is None:
            self.end()
        else:
            self.take(record)

    def take(self, record: bytes) -> None:
        """See Connection."""
        self.active_at = self.port.reactor.now
        counters = self.port.counters
        self.received += len(record)
        counters.received_bytes += len(record)
        if len(record) > self.limit:
            counters.errors[Reason.TOO_LONG] += 1
            return
        if self.port.config.log_messages:
            self.port.observe([record], self.uid)
        self.fast_messages += 1
        counters.messages += 1
        self._answer(self.prefix + record)

    def _answer(self, reply: bytes) -> None:
        self.send(reply)

    def _record_or_end(self) -> bytes | None:
        """Return the next record, or None at end of file."""
        record, ancillary, _flags, _sender = self.sock.recvmsg(self.limit + 1, ANCILLARY)
        return record if record or ancillary else None

    def discard_input(self) -> bool:
        """See Connection; an empty record is not end of file."""
        return self._record_or_end() is not None

    def fail(self, error: OSError) -> None:
        """See Connection; a reply too long for the socket is dropped, and the connection stays."""
        if error.errno == errno.EMSGSIZE:
            self.port.counters.errors[Reason.REPLY_TOO_LONG] += 1
        else:
            super().fail(error)
