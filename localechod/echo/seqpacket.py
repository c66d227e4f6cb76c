"""A seqpacket connection: records in, replies out, one for one."""

import errno
import socket

from localechod.config import EndpointConfig
from localechod.echo.connection import Connection, Port
from localechod.localsocket.peer import Credentials

# struct ucred with its header, rounded up as CMSG_SPACE(3) does. Passed descriptors find no room
# beside it, so the kernel closes them: nobody can fill our table with theirs.
_ANCILLARY = socket.CMSG_SPACE(12)


class SeqpacketConnection(Connection):
    """Serves one client of a seqpacket endpoint."""

    __slots__ = ("_prefix",)

    def __init__(self, sock: socket.socket, peer: Credentials, port: Port) -> None:
        super().__init__(sock, peer, port)
        # An empty record and the end of file both read as 0 bytes. With SO_PASSCRED every record
        # carries its sender's credentials and the end does not: the one way to tell them apart.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.configure(port.config)

    def configure(self, config: EndpointConfig) -> None:
        """See Connection."""
        self._prefix = config.prefix_bytes

    def serve(self, _events: int) -> None:
        """See Connection."""
        port = self.port
        self.active = port.engine.now
        if self._unsent is not None:
            self.send(self._unsent)
            return
        try:
            size, ancillary, _flags, _sender = self.sock.recvmsg_into([port.buffer], _ANCILLARY)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        if not size and not ancillary:
            self.release()
            return
        self.received += size
        port.counters.received_bytes += size
        if size == len(port.buffer):
            port.counters.errors["too_long"] += 1
            return
        message = bytes(port.buffer[:size])
        if port.config.log_messages:
            port.observe(message)
        self.messages += 1
        port.counters.messages += 1
        self.send(self._prefix + message)

    def discard(self) -> bool:
        """See Connection; an empty record is not the end."""
        size, ancillary, *_ = self.sock.recvmsg_into([self.port.buffer], _ANCILLARY)
        return bool(size or ancillary)

    def fail(self, error: OSError) -> None:
        """See Connection; a reply too long for the socket is dropped, and it goes on."""
        if error.errno == errno.EMSGSIZE:
            self.port.counters.errors["reply_too_long"] += 1
        else:
            super().fail(error)
