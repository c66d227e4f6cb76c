"""A seqpacket connection that is served one record at a time; see stepwise.py."""

import os
import socket
from contextlib import suppress

from localechod.echo.stream.seqpacket import ANCILLARY, SeqpacketConnection
from localechod.echo.stream.stepwise import StepwiseConnection


class StepwiseRecords(StepwiseConnection, SeqpacketConnection):
    """Serves one client of a seqpacket endpoint."""

    __slots__ = ()

    def _receive(self) -> bytes | None:
        record, ancillary = self._recv(self.limit + 1, ANCILLARY)
        return record if record or ancillary else None

    def _last_reply(self) -> bytes:
        return b""

    def _has_input(self) -> bool:
        record, ancillary, _flags, _sender = self.sock.recvmsg(1, ANCILLARY, socket.MSG_PEEK)
        return bool(record or ancillary)

    def _flush(self) -> None:
        """Send at once what waits; of what the socket has no space for, one record stays."""
        with suppress(OSError):
            while self.unsent is not None or self.queue:
                if self.unsent is None:
                    self.unsent = memoryview(self.queue.popleft())
                self._count(os.write(self.fd, self._in_one()))
        self.queue.clear()
