"""The server of a datagram endpoint: one socket, no connections; it answers each sender."""

import errno
import select
import socket
from collections.abc import Iterator

from localechod.config import EndpointConfig
from localechod.echo.context import Context
from localechod.echo.datagram.pinned_senders import PinnedSenders
from localechod.echo.datagram.send_budget import SendBudget
from localechod.echo.fastpath import datagram_function
from localechod.echo.limits import AllowList
from localechod.echo.persist.snapshot import ConnectionSnapshot
from localechod.echo.reasons import Reason
from localechod.echo.status import PeerRow
from localechod.localsocket.bind import Bound
from localechod.localsocket.peer import Credentials

# Datagrams answered in one round of the loop, so that a flood delays no other reply for long.
_BATCH = 32

# Datagrams in a turn from which the next turn reads and answers several by one system call. With
# fewer that would delay the first reply, and so the next message of its receiver.
_MANY = 8

# Datagrams answered before the socket is closed, at most: more than net.unix.max_dgram_qlen allows
# to wait on any usual system.
_LAST = 1024

# Why a reply could not be delivered. It is never waited for: EPOLLOUT says that the send buffer has
# space, not that the receiver's queue has.
_UNDELIVERED = {
    errno.EAGAIN: Reason.QUEUE_FULL,
    errno.ECONNREFUSED: Reason.RECEIVER_GONE,
    errno.ENOENT: Reason.RECEIVER_GONE,
    errno.EACCES: Reason.PERMISSION_DENIED,
    errno.EPERM: Reason.PERMISSION_DENIED,
    errno.EPROTOTYPE: Reason.WRONG_TYPE,
    errno.EMSGSIZE: Reason.REPLY_TOO_LONG,
}


class DatagramServer:
    """Serves one bound datagram socket."""

    def __init__(self, context: Context, config: EndpointConfig, bound: Bound) -> None:
        self._reactor = context.reactor
        self._counters = context.counters
        self._endpoint_log = context.endpoint_log
        self.configure(config)
        self._open(bound)

    def __len__(self) -> int:
        return 0

    def peers(self, _uid: int | None) -> Iterator[PeerRow]:
        """Return no peer: a sender is forgotten after its reply."""
        return iter(())

    def configure(self, config: EndpointConfig) -> None:
        """Apply settings that need no other socket."""
        self._config = config
        self._prefix = config.prefix_bytes
        self._allow = AllowList(config.allow)
        self._limit = config.max_message
        self._answer_datagrams = datagram_function(self._limit)
        # All senders get a reply, and nothing is logged.
        self._uniform = not config.allow and not config.log_messages

    def shut(self) -> None:
        """Remove the file: new senders cannot find the socket; connected ones are answered."""
        self._bound.remove()

    def rebind(self, bound: Bound) -> None:
        """Continue with another socket; datagrams in the old one are answered first."""
        self.close()
        self._open(bound)

    def close(self) -> None:
        """Answer the datagrams that wait, then close."""
        self.shut()
        # A client that called connect() can go on sending, so their number is limited.
        self._answer(_LAST)
        self._reactor.unregister(self._sock.fileno())
        self._pinned_senders.close()
        self._sock.close()

    def freeze(self) -> list[tuple[socket.socket, ConnectionSnapshot]]:
        """Return nothing: datagrams that are not answered wait in the socket itself."""
        return []

    async def drain(self) -> None:
        """Return at once: `close` answers the datagrams that wait, without waiting itself."""

    def _open(self, bound: Bound) -> None:
        self._bound, self._sock = bound, bound.sock
        self._at_once = 1
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._send_budget = SendBudget(self._sock)
        self._pinned_senders = PinnedSenders(self._reactor.loop, self._reactor.ceiling)
        self._reactor.register(self._sock.fileno(), select.EPOLLIN, self)

    def serve(self, _events: int) -> int:
        """Answer datagrams; see Handler."""
        count = self._answer(_BATCH)
        self._at_once = _BATCH if count >= _MANY else 1
        return count

    def failed(self, error: Exception) -> None:
        """See Handler: the datagram has been read, and gets no reply."""
        self._counters.errors[Reason.INTERNAL_ERROR] += 1
        self._endpoint_log.defect(error)

    def _answer(self, most: int) -> int:
        """Answer at most so many datagrams; return how many they were."""
        counters, budget = self._counters, self._send_budget
        left = most
        while left > 0:
            slack = budget.slack if self._uniform else 0
            count, received, sent, slack, failures, rest = self._answer_datagrams(
                self._sock, self._prefix, self._limit, left, slack, budget.answered, self._at_once
            )
            if self._uniform:
                budget.slack = slack
            counters.messages += count
            counters.received_bytes += received
            counters.sent_bytes += sent
            for number in failures:
                self._undelivered(number)
            for datagram in rest:
                try:
                    self._take(*datagram)
                except Exception as error:  # noqa: BLE001 - a defect: it ends with this datagram
                    self.failed(error)
            left -= count + len(rest)
            if not rest and not (count and failures):
                break  # no datagram waits, or recvmsg(2) has failed
        return most - left

    def _take(self, message: bytes, peer: tuple[int, int, int], sender: str | bytes | None) -> None:
        pid, uid, gid = peer
        counters = self._counters
        if not self._admits(pid, uid, gid):
            return
        counters.received_bytes += len(message)
        if len(message) > self._limit:
            counters.errors[Reason.TOO_LONG] += 1
            return
        counters.messages += 1
        if self._config.log_messages:
            self._endpoint_log.received(message, uid)
        self._reply(self._prefix + message, sender, uid)

    def _reply(self, reply: bytes, sender: str | bytes | None, uid: int) -> None:
        if not sender:
            self._counters.errors[Reason.UNNAMED_SENDER] += 1
            return
        refusal = self._send_budget.refusal(sender, len(reply))
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
        """Send to the sender's own socket, and to no other at its path; see pinned_senders.py.

        Raises:
            OSError: as PinnedSenders.handle, and sendto(2).
        """
        senders, now = self._pinned_senders, self._reactor.now
        try:
            return self._sock.sendto(reply, senders.handle(path, uid, now))
        except ConnectionRefusedError:
            # Its socket is closed; another may have been bound to the path since the last check.
            senders.forget(path)
            return self._sock.sendto(reply, senders.handle(path, uid, now))

    def _admits(self, pid: int, uid: int, gid: int) -> bool:
        if self._allow.everyone:
            return True
        peer = Credentials(pid, uid, gid, frozenset({gid}))
        if self._allow.admits(peer):
            return True
        self._counters.errors[Reason.NOT_ALLOWED] += 1
        self._endpoint_log.refused(peer, "not in allow")
        return False
