"""A datagram endpoint: one socket, no connections; each datagram is answered to its sender."""

import errno
import select
import socket
import struct

from localechod.config import EndpointConfig
from localechod.echo.admission import AllowList
from localechod.echo.context import Context
from localechod.echo.report import PeerRow
from localechod.localsocket.bind import Bound
from localechod.localsocket.peer import Credentials

# Datagrams answered in one turn of the loop, so that a flood delays nobody else's reply for long.
_BATCH = 32

# Datagrams answered at the end, at most: more than net.unix.max_dgram_qlen lets wait on any usual
# system.
_LAST = 1024

# As in seqpacket.py: room for the credentials alone, so that passed descriptors are closed by the
# kernel.
_ANCILLARY = socket.CMSG_SPACE(12)

# Why a reply could not be delivered. Nothing here is ever waited for: EPOLLOUT says that our buffer
# has room, not that the receiver's has.
_UNDELIVERED = {
    errno.EAGAIN: "full",
    errno.ECONNREFUSED: "gone",
    errno.ENOENT: "gone",
    errno.EACCES: "forbidden",
    errno.EPERM: "forbidden",
    errno.EPROTOTYPE: "wrong_type",
    errno.EMSGSIZE: "reply_too_long",
}


class DatagramServer:
    """Serves one bound datagram socket."""

    def __init__(self, context: Context, config: EndpointConfig, bound: Bound) -> None:
        self._engine = context.engine
        self._counters = context.counters
        self._announcer = context.announcer
        self._bound = bound
        self._sock = bound.sock
        self.configure(config)
        self._engine.register(self._sock.fileno(), select.EPOLLIN, self._serve)

    def __len__(self) -> int:
        return 0

    def peers(self) -> list[PeerRow]:
        """Return nobody: a datagram's sender is known for the length of one reply."""
        return []

    def configure(self, config: EndpointConfig) -> None:
        """Apply what can change under a bound socket."""
        self._config = config
        self._prefix = config.prefix_bytes
        self._allow = AllowList(config.allow)
        # One byte more than allowed shows that a datagram was longer; the kernel discards the rest.
        self._buffer = bytearray(config.max_message + 1)
        # Who sent a datagram is asked for only where it decides something.
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, not self._allow.everyone)

    def shut(self) -> None:
        """Remove the file: no new sender finds the socket, and who has found it is answered."""
        self._bound.remove()

    def close(self) -> None:
        """Answer what has been received, then close."""
        self.shut()
        # A client that called connect() can go on sending, so there has to be an end.
        for _ in range(_LAST):
            if not self._answer():
                break
        self._engine.unregister(self._sock.fileno())
        self._sock.close()

    async def drain(self) -> None:
        """Return at once: `close` answers what has been received without waiting for anyone."""

    def _serve(self, _events: int) -> None:
        for _ in range(_BATCH):
            if not self._answer():
                return

    def _answer(self) -> bool:
        """Answer one datagram; False where none is waiting."""
        counters = self._counters
        try:
            size, ancillary, _flags, sender = self._sock.recvmsg_into([self._buffer], _ANCILLARY)
        except BlockingIOError:
            return False
        if not self._allow.everyone and not self._admits(ancillary):
            return True
        counters.received_bytes += size
        if size == len(self._buffer):
            counters.errors["too_long"] += 1
            return True
        message = bytes(self._buffer[:size])
        counters.messages += 1
        if self._config.log_messages:
            self._announcer.received(message)
        self._reply(self._prefix + message, sender)
        return True

    def _reply(self, reply: bytes, sender: str | bytes | None) -> None:
        if not sender:
            self._counters.errors["unnamed"] += 1
            return
        try:
            self._counters.sent_bytes += self._sock.sendto(reply, sender)
        except OSError as error:
            number = error.errno or 0
            self._counters.errors[
                _UNDELIVERED.get(number, errno.errorcode.get(number, "unknown").lower())
            ] += 1

    def _admits(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        # The kernel puts the credentials in front; a datagram sent before SO_PASSCRED was set may
        # lack them.
        pid, uid, gid = struct.unpack("3i", ancillary[0][2]) if ancillary else (0, 65534, 65534)
        peer = Credentials(pid, uid, gid, frozenset({gid}))
        if self._allow.admits(peer):
            return True
        self._counters.errors["refused"] += 1
        self._announcer.refused(peer, "not in allow")
        return False
