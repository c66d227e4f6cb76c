"""The server of a datagram endpoint: one socket, no connections; it answers each sender."""

import errno
import select
import socket
import time
from collections.abc import Iterable, Iterator, Sequence

from localechod.config import EndpointConfig
from localechod.echo.context import Context
from localechod.echo.datagram.batch_size import TURN, BatchSize
from localechod.echo.datagram.faulty import FaultyReplies, Reply
from localechod.echo.datagram.passing import DatagramReader
from localechod.echo.datagram.pinned_senders import PinnedSenders
from localechod.echo.datagram.proven_senders import ProvenSenders
from localechod.echo.datagram.send_budget import SendBudget
from localechod.echo.fastpath import datagram_function
from localechod.echo.faults import EndpointFaults
from localechod.echo.identity import of_datagram
from localechod.echo.limits import AllowList
from localechod.echo.persist.snapshot import ConnectionSnapshot
from localechod.echo.portable.datagrams import SO_TIMESTAMPNS, Datagram
from localechod.echo.reasons import Reason
from localechod.echo.status import PeerRow
from localechod.localsocket.bound import Bound
from localechod.localsocket.peer import Credentials
from localechod.localsocket.rights import allow_descriptors, control

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

# Seconds of proofs and look-ups of paths in a turn after which it ends, so that names delay no
# other endpoint for long.
_PROOFS = 0.001

# Seconds after it was sent within which a datagram is answered without a proof, by an endpoint with
# an abstract name. Its senders are in its network namespace, so a name can only have passed to
# another socket since. Less than the start of a program takes, but more than the kernel usually has
# us wait for a processor: with a millisecond, a busy machine had proofs take a fifth of our time.
_FRESH = 0.005

_NOT_THEIRS = "the abstract name that a datagram came from is not proven to be its sender's"


class DatagramServer:
    """Serves one bound datagram socket."""

    def __init__(self, context: Context, config: EndpointConfig, bound: Bound) -> None:
        self._reactor = context.reactor
        self._proof_budget = context.proof_budget
        self._counters = context.counters
        self._endpoint_log = context.endpoint_log
        self.faults = EndpointFaults(config, context.counters, context.endpoint_log, context.die)
        self._faulty = FaultyReplies(context.reactor.loop, self.faults, context.counters, self)
        self._reader = DatagramReader(context.passed)
        self._passed = context.passed
        self._set(config)
        self._open(bound)

    def __len__(self) -> int:
        return 0

    def peers(self, _uid: int | None) -> Iterator[PeerRow]:
        """Return no peer: a sender is forgotten after its reply."""
        return iter(())

    def configure(self, config: EndpointConfig) -> None:
        """Apply settings that need no other socket; other faults drop replies that wait."""
        if config.faults != self._config.faults:
            self._faulty.close()
        self.faults.configure(config)
        self._set(config)
        self._reactor.modify(self._sock.fileno(), self._events())
        self._allow_descriptors()

    def _allow_descriptors(self) -> None:
        allow_descriptors(self._sock, allowed=self._config.wants_descriptors)
        if self._config.wants_descriptors:
            self._reactor.interrupt_releases()

    def _set(self, config: EndpointConfig) -> None:
        self._config = config
        self._prefix = config.prefix_bytes
        self._allow = AllowList(config.allow)
        self._limit = config.max_message
        self._answer_datagrams = datagram_function(self._limit)
        self._is_plain, self._is_faulty = config.is_plain, bool(config.faults)
        if not self._is_plain:
            self._answer_datagrams = self._reader.answer_datagrams
        self._reader.receives = config.wants_descriptors and not config.faults.refuse_descriptors
        # All senders get a reply, and nothing is logged.
        self._uniform = not config.allow and not config.log_messages and self._is_plain

    def _events(self) -> int:
        return 0 if self._config.faults.never_read else select.EPOLLIN

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
        left, more = 0 if self._config.faults.never_read else _LAST, True
        while left > 0 and more:
            count, more = self._answer(left)
            left -= count
        self._unregister()
        self._sock.close()

    def die(self) -> None:
        """Close at once, as if the process had ended: the socket's file stays."""
        self._unregister()
        self._bound.close()

    def freeze(self) -> list[tuple[socket.socket, ConnectionSnapshot]]:
        """Send late replies at once; datagrams that are not answered wait in the socket itself."""
        self._faulty.flush()
        return []

    async def drain(self) -> None:
        """Return at once: `close` answers the datagrams that wait, without waiting itself."""

    def _open(self, bound: Bound) -> None:
        self._bound, self._sock = bound, bound.sock
        self._batch_size = BatchSize()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._allow_descriptors()
        self._send_budget = SendBudget(self._sock)
        self._name = self._sock.getsockname()
        self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, bound.address.is_abstract)
        self._fresh = 0.0 if bound.address.is_abstract else -1.0
        self._proven_senders = ProvenSenders(
            self._sock, self._reactor.loop, self._reactor.ceiling, self._proof_budget
        )
        self._pinned_senders = PinnedSenders(
            self._reactor.loop, self._reactor.ceiling, self._proof_budget
        )
        try:
            self._reactor.register(self._sock.fileno(), self._events(), self)
        except OSError:
            self._proven_senders.close()
            raise
        self._proof_budget.ours.add(self._name)

    def _unregister(self) -> None:
        self._reactor.unregister(self._sock.fileno())
        self._faulty.close()
        self._passed.forget(self._sock.fileno())
        self._pinned_senders.close()
        self._proven_senders.close()
        self._proof_budget.ours.discard(self._name)

    def serve(self, _events: int) -> int:
        """Answer datagrams; see Handler."""
        count, more = self._answer(TURN)
        if self._seconds() < _PROOFS:
            self._batch_size.after(count)
        else:
            self._batch_size.after_proofs(has_listed=self._proven_senders.has_listed)
        if not more and self._bound.address.is_abstract:
            # All that came before SO_TIMESTAMPNS was set, and has no time of its own, is read.
            self._fresh = _FRESH
        return count

    def failed(self, error: Exception) -> None:
        """See Handler: the datagram has been read, and gets no reply."""
        self._counters.errors[Reason.INTERNAL_ERROR] += 1
        self._endpoint_log.defect(error)

    def _answer(self, most: int) -> tuple[int, bool]:
        """Answer datagrams: at most so many, and none after proofs that took long.

        Returns:
            How many they were, and whether more may wait.
        """
        counters, budget, senders = self._counters, self._send_budget, self._proven_senders
        left, senders.seconds, senders.has_listed = most, 0.0, False
        self._pinned_senders.begin()
        while left > 0:
            slack = budget.slack if self._uniform else 0
            count, received, sent, slack, failures, rest = self._answer_datagrams(
                self._sock,
                self._prefix,
                self._limit,
                left,
                slack,
                budget.answered,
                self._batch_size.now,
                self._proof_budget.ours,
                senders.proofs,
                self._fresh,
                senders.renew,
            )
            if self._uniform:
                budget.slack = slack
            counters.messages += count
            counters.received_bytes += received
            counters.sent_bytes += sent
            for number in failures:
                self._undelivered(number)
            left -= count + len(rest)
            if rest:
                self._take_all(rest)
                if self._seconds() >= _PROOFS:
                    break
            elif not (count and failures):
                return most - left, left <= 0  # no datagram waits, or recvmsg(2) has failed
        return most - left, True

    def _seconds(self) -> float:
        """Return what proofs and look-ups have taken in this turn."""
        return self._proven_senders.seconds + self._pinned_senders.seconds

    def _take_all(self, datagrams: Sequence[Datagram]) -> None:
        self._proven_senders.begin(each[2] for each in datagrams if isinstance(each[2], bytes))
        for datagram in datagrams:
            try:
                self._take(*datagram)
            except Exception as error:  # noqa: BLE001 - a defect: it ends with this datagram
                self.failed(error)
            finally:
                self._reader.close()

    def _take(
        self,
        message: bytes,
        peer: tuple[int, int, int],
        sender: str | bytes | None,
        sent_at: float,
    ) -> None:
        pid, uid, gid = peer
        counters = self._counters
        if self.faults.dead or not self._admits(pid, uid, gid):
            return
        counters.received_bytes += len(message)
        if len(message) > self._limit:
            counters.errors[Reason.TOO_LONG] += 1
            return
        counters.messages += 1
        if self._config.log_messages:
            self._endpoint_log.received([message], uid)
        reply = self._prefix + message if self._is_plain else self._special_reply(message, peer)
        if sender and self._is_faulty:
            self._faulty.answer(Reply(reply, sender, peer))
        else:
            self._send(reply, sender, peer, sent_at)

    def _send(
        self, reply: bytes, sender: str | bytes | None, peer: tuple[int, int, int], sent_at: float
    ) -> None:
        refusal = self._refusal(sender, len(reply), peer, sent_at)
        if refusal:
            self._counters.errors[refusal] += 1
        elif sender:
            self._reply(reply, sender, peer[1])

    def _special_reply(self, message: bytes, peer: tuple[int, int, int]) -> bytes:
        reader, config = self._reader, self._config
        if reader.cut and config.faults.refuse_descriptors:
            self.faults.done("refuse_descriptors", 0, 0, peer[0], peer[1])
        if config.reply == "identity":
            return of_datagram(peer, reader.descriptors, cut=reader.cut)
        return self._prefix + message

    def begin_late(self, replies: Iterable[Reply]) -> None:
        """See Outlet."""
        self._proven_senders.seconds = 0.0
        self._pinned_senders.begin()
        senders = (each.sender for each in replies)
        self._proven_senders.begin(each for each in senders if isinstance(each, bytes))

    def send_late(self, reply: Reply) -> bool:
        """See Outlet."""
        self._send(reply.data, reply.sender, reply.peer, 0.0)
        return self._seconds() < _PROOFS

    def _refusal(
        self, sender: str | bytes | None, size: int, peer: tuple[int, int, int], sent_at: float
    ) -> str:
        if not sender:
            return Reason.UNNAMED_SENDER
        if sender in self._proof_budget.ours:
            return Reason.OWN_ENDPOINT
        # First, so that nobody else can use up what a sender's own budget is.
        unproven = self._unproven(sender, peer, sent_at)
        refusal = unproven or self._send_budget.refusal(sender, size)
        if refusal or self._send_budget.slack >= 0:
            return refusal
        return self._unproven(sender, peer, sent_at)  # the budget's list may have taken long

    def _unproven(self, sender: str | bytes, peer: tuple[int, int, int], sent_at: float) -> str:
        """Return why an abstract name may be another socket's than the sender's, or ""."""
        if isinstance(sender, str):
            return ""  # pinned_senders.py
        pid, uid, gid = peer
        if sent_at and 0 <= time.time() - sent_at < self._fresh:
            return ""
        refusal = self._proven_senders.refusal(sender, pid, uid)
        if refusal == Reason.UNPROVEN_SENDER:
            self._endpoint_log.refused(Credentials(pid, uid, gid, frozenset({gid})), _NOT_THEIRS)
        return refusal

    def _reply(self, reply: bytes, sender: str | bytes, uid: int) -> None:
        try:
            if isinstance(sender, str):
                self._counters.sent_bytes += self._send_to_path(reply, sender, uid)
            else:
                self._counters.sent_bytes += self._send_to(reply, sender, uid)
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
            return self._send_to(reply, senders.handle(path, uid, now), uid)
        except ConnectionRefusedError:
            # Its socket is closed; another may have been bound to the path since the last check.
            senders.forget(path)
            return self._send_to(reply, senders.handle(path, uid, now), uid)

    def _send_to(self, reply: bytes, address: str | bytes, uid: int) -> int:
        descriptors = self._reader.descriptors if self._config.echo_descriptors else ()
        if not descriptors:
            return self._sock.sendto(reply, address)
        sent = self._sock.sendmsg([reply], control(descriptors), 0, address)
        self._passed.sent_back(uid, self._sock.fileno(), len(descriptors))
        return sent

    def _admits(self, pid: int, uid: int, gid: int) -> bool:
        if self._allow.everyone:
            return True
        peer = Credentials(pid, uid, gid, frozenset({gid}))
        if self._allow.admits(peer):
            return True
        self._counters.errors[Reason.NOT_ALLOWED] += 1
        self._endpoint_log.refused(peer, "not in allow")
        return False
