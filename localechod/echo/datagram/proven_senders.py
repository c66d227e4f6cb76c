"""Proven senders: a reply to an abstract name goes to its sender's own socket, or is not sent.

A datagram has its sender's name, but not the network namespace where that name is bound. A path may
be reached from every one of them, and the reply is sent in that of the endpoint. There the name may
be another user's, or this daemon's own. It may also have passed to another socket since.

So UNIX_DIAG says whose socket has the name, and it has to be the user's who sent the datagram.
Then two facts about connect(2) show for each datagram, at the cost of one or two system calls,
that the name has not passed to another socket since. A probe is a datagram socket of our own.

- Most sockets accept a connect. UNIX_DIAG says which socket a probe is connected to. A probe keeps
  its unread messages if it is connected again to that socket; otherwise the kernel discards them
  (unix_dgram_connect in net/unix/af_unix.c). So each such sender has a probe with one unread
  message.
- A client that is connected to the endpoint accepts no other connect: EPERM. Its name is found in
  the kernel's list of all sockets. No probe shows that it is still the same socket, so its proof
  ends after a millisecond, or ten times as long as proofs of all connected clients take. Within
  that time another client of this endpoint may take the name over. Then UNIX_DIAG is asked for that
  socket by inode, or for the whole list again where that is cheaper.

An endpoint with an abstract name needs no proof: it is reached from its own network namespace only.
"""

import asyncio
import errno
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack, suppress
from typing import NamedTuple

from localechod.accounts import NO_ID, identifies
from localechod.echo.datagram.proof_budget import ProofBudget
from localechod.echo.fastpath import CHECK_MICROSECONDS, Proof
from localechod.echo.reasons import Reason
from localechod.localsocket import diag

# Proofs at most, of connected clients and of others. A probe takes a descriptor, of which clients
# need the rest; each connected client makes a list longer.
_MOST = 256

# Seconds after which a proof ends. Of a connected client, at least so many, and a multiple of the
# time that proofs take, so that they take a tenth of the time at most.
_END = 5.0
_END_CONNECTED = 0.001
_PROOF_SHARE = 10

# Seconds for which a check is good, of a connected client.
_CHECK = CHECK_MICROSECONDS / 1e6

# Proofs for one datagram at most.
_ATTEMPTS = 4


# Bytes of a probe's unread message: random, as the socket that it is connected to may send to it.
_MARKER_SIZE = 16

# What stands for every user that has no id in our user namespace; user_namespaces(7). With pid 0 it
# stands for the unknown sender of a datagram that was sent before SO_PASSCRED was set.
NO_USER = NO_ID


class _Listed(NamedTuple):
    """The socket of a connected client, as the last list had it."""

    record: bytes
    inode: int


class ProvenSenders:
    """The proofs of one endpoint's senders.

    Attributes:
        proofs: by name.
        has_listed: whether a list was requested; the server sets it to False.
        seconds: what proofs have taken; the server sets it to 0.

    Args:
        sock: the endpoint's socket.
        loop: for closing probes that are not used any more.
        ceiling: the lowest reserved descriptor, see Reactor; reserved ones are closed at once.
        budget: the time that lists may take.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        ceiling: int,
        budget: ProofBudget,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.proofs: dict[bytes, Proof] = {}
        self.has_listed = False
        self.seconds = 0.0
        self._sock = sock
        self._is_visible = False
        self._loop = loop
        self._ceiling = ceiling
        self._budget = budget
        self._clock = clock
        self._probes: dict[bytes, socket.socket] = {}
        self._connected: dict[bytes, _Listed] = {}
        self._list_took = self._question_took = 0.0  # seconds, the last time
        self._common = _socket()
        self._marker = os.urandom(_MARKER_SIZE)
        self._batch: set[bytes] = set()
        self._sweep: asyncio.TimerHandle | None = None

    def begin(self, names: Iterable[bytes]) -> None:
        """Note the names of all datagrams that were read at once: one list serves all of them."""
        self._batch = set(names)

    def renew(self, name: bytes, uid: int) -> None:
        """Prove a connected client again whose proof has ended, for the compiled part.

        Where the client cannot be proven, its datagram is left to Python, and `refusal` says why.

        Args:
            name: the sender's.
            uid: the user who sent.
        """
        started = self._clock()
        self._batch = {name}
        self._prove(name, uid)
        self.seconds += self._clock() - started

    def refusal(self, name: bytes, pid: int, uid: int) -> str:
        """Return why a datagram must not be answered, or "".

        Args:
            name: the sender's, after `begin` with it.
            pid: of the sender; 0 for one that has no pid here.
            uid: the user who sent.

        Returns:
            RECEIVER_GONE: no socket has the name. UNPROVEN_SENDER: it is not known to be that of a
            socket of this user.
        """
        owner = self._owner(name)
        if owner is None:
            started = self._clock()
            owner = self._proven_owner(name, uid)
            self.seconds += self._clock() - started
        if owner == uid and (pid or uid != NO_USER):
            return ""
        is_gone = owner is None and self._common.connect_ex(name) == errno.ECONNREFUSED
        return Reason.RECEIVER_GONE if is_gone else Reason.UNPROVEN_SENDER

    def close(self) -> None:
        """Close all probes; nothing is proven any more."""
        for name in list(self.proofs):
            self._forget(name)
        self._common.close()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _owner(self, name: bytes) -> int | None:
        """Return the owner of the socket that has the name; None if there is no valid proof.

        The compiled part has the same in is_proven.
        """
        proof, now = self.proofs.get(name), self._clock()
        if proof is None or now >= proof.until:
            return None
        if now >= proof.checked + _CHECK:
            if not self._is_same(name, proof.marker):
                return None
            if not proof.marker:
                proof.checked = now
        return proof.uid

    def _is_same(self, name: bytes, marker: bytes) -> bool:
        """Return whether a connect shows that the socket with this name is the one proven."""
        probe = self._probes.get(name, self._common)
        error = probe.connect_ex(name)
        if not marker:
            return error == errno.EPERM
        with suppress(OSError):
            return not error and probe.recv(2 * _MARKER_SIZE, socket.MSG_PEEK) == marker
        return False

    def _proven_owner(self, name: bytes, uid: int) -> int | None:
        """Prove a name and return its owner; None if it cannot be proven.

        A proof of a connected client is valid for so short a time that it may end before its use,
        if this process loses the processor. Then it is made again. A proof that is valid for
        longer would also hold for another client that takes the name over.
        """
        for _ in range(_ATTEMPTS):
            self._prove(name, uid)
            owner = self._owner(name)
            proof = self.proofs.get(name)
            if owner is not None or proof is None or self._clock() < proof.until:
                return owner
        return None

    def _prove(self, name: bytes, uid: int) -> None:
        """Prove a name, if its socket is there and UNIX_DIAG can be asked."""
        error = self._common.connect_ex(name)
        if error == errno.EPERM:
            prefers_list = len(self._connected) * self._question_took > self._list_took
            if (prefers_list and self._budget.allows(uid, self._clock())) or not self._renew(name):
                self._prove_connected(name, uid)
        elif not error:
            self._prove_by_probe(name)
        if self.proofs and self._sweep is None:
            self._sweep = self._loop.call_later(_END, self._forget_ended)

    def _prove_by_probe(self, name: bytes) -> None:
        self._forget(name)
        with ExitStack() as stack, suppress(OSError):
            probe = stack.enter_context(_socket())
            probe.bind(b"")
            probe.sendto(self._marker, probe.getsockname())
            probe.shutdown(socket.SHUT_RD)  # the socket at the name cannot send to it
            probe.connect(name)
            owner = self._peer_owner(probe)
            if owner is None:
                return
            if probe.fileno() >= self._ceiling:
                for each in list(self._probes):
                    self._forget(each)
            self._evict(self._probes)
            self._probes[name] = probe
            self.proofs[name] = Proof(probe.fileno(), self._marker, owner, self._clock() + _END)
            stack.pop_all()

    def _peer_owner(self, probe: socket.socket) -> int | None:
        """Return the owner of the socket that a probe is connected to.

        Raises:
            OSError: as for `diag.of_socket`; ENOENT if the socket has just been closed.
        """
        self._check_visible()
        return _known(diag.of_inode(diag.of_socket(probe).peer).uid)

    def _renew(self, name: bytes) -> bool:
        """Prove a connected client that was proven before: whether its socket is still there."""
        listed = self._connected.get(name)
        if listed is None:
            return False
        started = self._clock()
        with suppress(OSError):
            found = diag.of_inode(listed.inode)
            self._question_took = self._clock() - started
            if found.name == name and found.uid == self.proofs[name].uid:
                seconds = self._question_took * len(self._connected)
                until = started + max(_END_CONNECTED, _PROOF_SHARE * seconds)
                self.proofs[name].until = until
                return True
        return False

    def _prove_connected(self, name: bytes, uid: int) -> None:
        """Prove the names of connected clients by a list, and all others of the batch with them."""
        started = self._clock()
        if not self._budget.allows(uid, started):
            return
        batch = self._batch - self._probes.keys() | {name}
        names = [*(self._connected.keys() - batch), *batch]  # the last ones are not evicted
        found = {}
        self.has_listed = True
        with suppress(OSError):
            self._check_visible()
            found = diag.datagrams_named(set(names))
        now = self._clock()
        self._list_took = now - started
        self._budget.take(uid, self._list_took, now)
        until = started + max(_END_CONNECTED, _PROOF_SHARE * self._list_took)
        for each in names:
            listed, record = self._connected.get(each), found.get(each)
            if listed and listed.record == record:
                self._connected[each] = self._connected.pop(each)  # not evicted before the others
                self.proofs[each].until = until
                continue
            self._forget(each)
            if record:
                self._add_connected(each, diag.decode(record), record, until)

    def _add_connected(
        self, name: bytes, found: diag.DiagSocket, record: bytes, until: float
    ) -> None:
        owner = _known(found.uid)
        if owner is not None:
            self._evict(self._connected)
            self._connected[name] = _Listed(record, found.inode)
            self.proofs[name] = Proof(self._common.fileno(), b"", owner, until)

    def _check_visible(self) -> None:
        """Check that names mean the same to UNIX_DIAG as to the endpoint's socket.

        Raises:
            OSError: as for `diag.of_socket`; ENOENT if it is in another network namespace.
        """
        if not self._is_visible:
            diag.of_socket(self._sock)
            self._is_visible = True

    def _evict(self, names: Collection[bytes]) -> None:
        """Make space for one more: the user that has most of these names loses the oldest."""
        if len(names) >= _MOST:
            owner = {name: self.proofs[name].uid for name in names}
            ((largest, _),) = Counter(owner.values()).most_common(1)
            self._forget(next(name for name in names if owner[name] == largest))

    def _forget(self, name: bytes) -> None:
        if self.proofs.pop(name, None):
            self._connected.pop(name, None)
            probe = self._probes.pop(name, None)
            if probe:
                probe.close()

    def _forget_ended(self) -> None:
        now = self._clock()
        for name in [name for name, proof in self.proofs.items() if proof.until <= now]:
            self._forget(name)
        self._sweep = self._loop.call_later(_END, self._forget_ended) if self.proofs else None


def _socket() -> socket.socket:
    return socket.socket(
        socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    )


def _known(owner: int | None) -> int | None:
    """Return an owner that UNIX_DIAG has told, or None if several users may be meant."""
    return owner if owner is not None and identifies(owner) else None
