"""A datagram endpoint: one socket, no connections; each datagram is answered to its sender."""

import errno
import select
import socket
import struct

from localechod.config import EndpointConfig
from localechod.echo.admission import AllowList
from localechod.echo.batch import Batch, slots
from localechod.echo.context import Context
from localechod.echo.counters import Counters
from localechod.echo.pins import Pins
from localechod.echo.report import PeerRow
from localechod.echo.state import ConnectionState
from localechod.echo.unread import Unread
from localechod.localsocket.bind import Bound
from localechod.localsocket.peer import Credentials

# Datagrams answered in one turn of the loop, so that a flood delays nobody else's reply for long.
_BATCH = 32

# From so many waiting at a time on, the next are taken as a batch; below, a batch would wait for
# itself.
_MANY = 4

# Datagrams answered at the end, at most: more than net.unix.max_dgram_qlen lets wait on any usual
# system.
_LAST = 1024

# As in seqpacket.py: room for the credentials alone, which come first, so that passed descriptors
# find none and are closed by the kernel.
_UCRED = struct.Struct("iII")  # pid_t, uid_t, gid_t
_ANCILLARY = socket.CMSG_SPACE(_UCRED.size)

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
        self.configure(config)
        self._open(bound)

    def __len__(self) -> int:
        return 0

    def peers(self) -> list[PeerRow]:
        """Return nobody: a datagram's sender is known for the length of one reply."""
        return []

    def totals(self) -> Counters:
        """Count everything."""
        return self._counters

    def configure(self, config: EndpointConfig) -> None:
        """Apply what can change under a bound socket."""
        self._config = config
        self._prefix = config.prefix_bytes
        self._allow = AllowList(config.allow)
        # One byte more than allowed shows that a datagram was longer; the kernel discards the rest.
        size = config.max_message + 1
        self._buffer = bytearray(size)
        self._batch = Batch(size, self._prefix) if slots(size) else None
        self._uniform = not config.allow and not config.log_messages
        self._many = False

    def shut(self) -> None:
        """Remove the file: no new sender finds the socket, and who has found it is answered."""
        self._bound.remove()

    def rebind(self, bound: Bound) -> None:
        """Go on with another socket; what the old one has received is answered first."""
        self.close()
        self._open(bound)

    def close(self) -> None:
        """Answer what has been received, then close."""
        self.shut()
        # A client that called connect() can go on sending, so there has to be an end.
        for _ in range(_LAST):
            if not self._answer():
                break
        self._engine.unregister(self._sock.fileno())
        self._pins.close()
        self._sock.close()

    def freeze(self) -> list[tuple[socket.socket, ConnectionState]]:
        """Return nothing: what has not been answered waits in the socket itself."""
        return []

    async def drain(self) -> None:
        """Return at once: `close` answers what has been received without waiting for anyone."""

    def _open(self, bound: Bound) -> None:
        self._bound, self._sock = bound, bound.sock
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._unread = Unread(self._sock)
        self._pins = Pins(self._engine.loop, self._engine.ceiling)
        self._engine.register(self._sock.fileno(), select.EPOLLIN, self._serve)

    def _serve(self, _events: int) -> None:
        if self._many and self._batch is not None:
            self._many = self._answer_batch(self._batch) >= _MANY
            return
        count = 0
        while count < _BATCH and self._answer():
            count += 1
        self._many = count >= _MANY

    def _answer_batch(self, batch: Batch) -> int:
        """Answer what waits, up to a batch; return how many that were."""
        count = batch.receive(self._sock.fileno())
        if not count:
            return 0
        counters, prefix = self._counters, len(self._prefix)
        lengths = batch.lengths()
        longest, total = max(lengths), sum(lengths)
        names = batch.abstract_names() if self._uniform else None
        if (
            names is None
            or longest >= len(self._buffer)
            or not (prefix or min(lengths))
            or not self._unread.admits(names, count, longest + prefix)
        ):
            for slot in range(count):
                self._take(*batch.datagram(slot))
            return count
        counters.received_bytes += total
        counters.messages += count
        sent = total + count * prefix
        for slot, number in batch.answer(self._sock.fileno()):
            sent -= lengths[slot] + prefix
            self._undelivered(number)
        counters.sent_bytes += sent
        return count

    def _answer(self) -> bool:
        """Answer one datagram; False where none is waiting."""
        try:
            size, ancillary, _flags, sender = self._sock.recvmsg_into([self._buffer], _ANCILLARY)
        except BlockingIOError:
            return False
        # The credentials come first. A datagram that was sent before SO_PASSCRED was set has none
        # of its own, and the kernel puts nobody's (65534) in their place.
        self._take(bytes(self._buffer[:size]), _UCRED.unpack(ancillary[0][2]), sender)
        return True

    def _take(self, message: bytes, peer: tuple[int, int, int], sender: str | bytes | None) -> None:
        pid, uid, gid = peer
        counters = self._counters
        if not self._admits(pid, uid, gid):
            return
        counters.received_bytes += len(message)
        if len(message) == len(self._buffer):
            counters.errors["too_long"] += 1
            return
        counters.messages += 1
        if self._config.log_messages:
            self._announcer.received(message)
        self._reply(self._prefix + message, sender, uid)

    def _reply(self, reply: bytes, sender: str | bytes | None, uid: int) -> None:
        if not sender:
            self._counters.errors["unnamed"] += 1
            return
        refusal = self._unread.refusal(sender, len(reply))
        if refusal:
            self._counters.errors[refusal] += 1
            return
        try:
            if isinstance(sender, str):
                self._counters.sent_bytes += self._send_to_path(reply, sender, uid)
            else:  # an abstract name leads nowhere else
                self._counters.sent_bytes += self._sock.sendto(reply, sender)
        except OSError as error:
            self._undelivered(error.errno or 0)

    def _undelivered(self, number: int) -> None:
        reason = _UNDELIVERED.get(number) or errno.errorcode.get(number, "unknown").lower()
        self._counters.errors[reason] += 1

    def _send_to_path(self, reply: bytes, path: str, uid: int) -> int:
        """Send to the sender's own socket, whatever stands at its path by now; see pins.py.

        Raises:
            OSError: as Pins.handle, and sendto(2).
        """
        pins, now = self._pins, self._engine.now
        try:
            return self._sock.sendto(reply, pins.handle(path, uid, now))
        except ConnectionRefusedError:
            # Its socket is closed; another may have been bound to the name since the last look.
            pins.forget(path)
            return self._sock.sendto(reply, pins.handle(path, uid, now))

    def _admits(self, pid: int, uid: int, gid: int) -> bool:
        if self._allow.everyone:
            return True
        peer = Credentials(pid, uid, gid, frozenset({gid}))
        if self._allow.admits(peer):
            return True
        self._counters.errors["refused"] += 1
        self._announcer.refused(peer, "not in allow")
        return False
