"""Which connections are kept for a crash: the oldest of each user, up to the limit `crash_keep`.

While not all of them can be kept, every user has as many places as any other, if they have as many
connections. Otherwise a user with old idle connections could have all places.

A kept connection has a duplicate of its socket in systemd's store, so a crash does not close it.
That costs systemd time: it compares each new socket with all that it has. So short-lived
connections are not kept, and those that are kept are stored a few at a time. A connection that is
not kept costs an entry in a table.
"""

import asyncio
import logging
import socket
import time
from contextlib import suppress
from heapq import heapify, heappop, heapreplace
from typing import Protocol

from localechod.echo.persist.by_user import ByUser
from localechod.echo.persist.crash_slots import Slot, Slots

log = logging.getLogger("localechod.echo")

# The age of a connection from which it can be kept, in seconds: most short ones have ended by then.
AGE = 1.0

# How many are stored at a time, with a pause of so many seconds after them. Clients that disconnect
# as soon as they are kept, and connect again, cannot cause more work than this.
BATCH = 16
PAUSE = 0.25


class SocketStore(Protocol):
    """A store outside this process, which has duplicates of sockets for the next process.

    Attributes:
        slots: the crash slots; those of connections that an earlier process kept are in use.
        is_busy: what was put is not all stored, and the duplicates take descriptors meanwhile.
    """

    @property
    def slots(self) -> Slots:
        """See above."""
        ...

    @property
    def is_busy(self) -> bool:
        """See above."""
        ...

    def put(self, name: str, descriptor: int) -> None:
        """Store a duplicate under a name."""
        ...

    def remove(self, name: str) -> None:
        """Remove the socket of that name."""
        ...


class Client(Protocol):
    """A connection, as far as it can be kept.

    Attributes:
        accepted_at: when it was accepted, in monotonic seconds.
        uid: the user.
        slot: where its state is marked, while it is kept.
    """

    accepted_at: float
    uid: int
    slot: Slot | None

    @property
    def sock(self) -> socket.socket:
        """Its socket."""
        ...

    def attach_slot(self, slot: Slot | None) -> None:
        """Mark states in this slot from now on, and in no other."""
        ...


class CrashKeeper:
    """Decides which connections are kept, and stores them.

    Args:
        store: gets their sockets.
        wanted: how many connections to keep at most.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, store: SocketStore, wanted: int) -> None:
        self._loop = loop
        self._store = store
        self._slots = store.slots
        self._wanted = wanted
        self._limit = 0
        self._kept: ByUser[Client] = ByUser()
        self._candidates: ByUser[Client] = ByUser()
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False

    def reserve(self, others: int) -> None:
        """Reserve slots for the sockets of so many endpoints; call this before they are stored."""
        self._limit = min(self._wanted, max(0, self._slots.count - others))
        if others > self._slots.count > 0:
            log.warning(
                "%d endpoints are more than the %d for which systemd's descriptor store has space: "
                "a restart closes sockets and connections; raise FileDescriptorStoreMax= in the "
                "unit by %d or more",
                others,
                self._slots.count,
                others + self._wanted - self._slots.count,
            )
        elif self._limit < self._wanted and self._slots.count:
            log.warning(
                "crash_keep = %d: beside %d endpoints the store has space for %d connections",
                self._wanted,
                others,
                self._limit,
            )
        self._fit()
        self._schedule()

    def enter(self, client: Client) -> None:
        """Note a new connection."""
        if self._limit:
            self._candidates.add(client)
            if self._timer is None and self._can_keep(client.uid):
                self._timer = self._loop.call_later(AGE, self._keep)

    def resume(self, client: Client, serial: int) -> None:
        """Continue with a connection that an earlier process kept under this serial."""
        slot = self._slots.find(serial, _piece(client.sock))
        if slot is not None and self._limit:
            self._candidates.discard(client)
            self._kept.add(client)
            client.attach_slot(slot)

    def all_resumed(self) -> None:
        """Remove the kept sockets of all other connections; call this after the last `resume`."""
        ours = {client.slot.serial for client in self._kept if client.slot is not None}
        for record in self._slots.records():
            if record.serial not in ours:
                self._slots.free(record.serial)
                self._store.remove(f"{record.serial}@{record.endpoint}")
        self._kept.sort()
        self._candidates.sort()
        self._fit()
        self._schedule()

    def leave(self, client: Client) -> None:
        """Note that a kept connection ends; call this before its socket is closed.

        systemd may be late to close its duplicate, so the socket is shut down, which ends both.
        """
        self.unkeep(client)
        with suppress(OSError):  # the peer has gone already
            client.sock.shutdown(socket.SHUT_RDWR)

    def forget(self, client: Client) -> None:
        """Note that a connection has ended."""
        if self._candidates:
            self._candidates.discard(client)

    def unkeep(self, client: Client) -> None:
        """Stop keeping a connection: a crash from now on closes it."""
        if client.slot is not None:
            self._kept.discard(client)
            self._remove(client)
            self._schedule()

    def pause(self) -> None:
        """Keep no more connections."""
        self._paused = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def unpause(self) -> None:
        """Keep connections again after `pause`."""
        self._paused = False
        self._schedule()

    def _fit(self) -> None:
        """Stop keeping some, if there are too many; they stay connected."""
        while len(self._kept) > self._limit:
            self._displace()

    def _displace(self) -> None:
        """Stop keeping the youngest of the user for whom most are kept."""
        client = self._kept.youngest_of_most()
        self._kept.discard(client)
        self._remove(client)
        if self._limit:
            self._candidates.add(client, oldest=True)

    def _remove(self, client: Client) -> None:
        slot = client.slot
        if slot is None:
            return
        client.attach_slot(None)
        # In this order: after a crash, a stored socket without a slot is closed.
        self._slots.free(slot.serial)
        self._store.remove(slot.name)

    def _schedule(self) -> None:
        """Wait for the next one to be old enough, if there is one that can be kept."""
        if self._timer is None and self._candidates and not self._paused:
            waiting = (
                oldest.accepted_at
                for uid, oldest in self._candidates.users()
                if self._can_keep(uid)
            )
            first = min(waiting, default=None)
            if first is not None:
                wait = max(0.0, first + AGE - time.monotonic())
                self._timer = self._loop.call_later(wait, self._keep)

    def _can_keep(self, uid: int) -> bool:
        """Whether there is a place for this user: a free one, or one of a user with more places."""
        is_free = len(self._kept) < self._limit
        return not self._paused and (is_free or self._kept.count(uid) + 1 < self._kept.most)

    def _keep(self) -> None:
        if self._store.is_busy:
            self._timer = self._loop.call_later(PAUSE, self._keep)
            return
        self._timer = None
        due = time.monotonic() - AGE
        queue = [
            (self._kept.count(uid), oldest.accepted_at, uid)
            for uid, oldest in self._candidates.users()
            if oldest.accepted_at <= due
        ]
        heapify(queue)  # those for whom fewest are kept come first
        for _ in range(BATCH):
            if not queue or not self._can_keep(uid := queue[0][2]):
                self._schedule()
                return
            self._keep_oldest(uid)
            following = self._candidates.oldest(uid)
            if following is None or following.accepted_at > due:
                heappop(queue)
            else:
                heapreplace(queue, (self._kept.count(uid), following.accepted_at, uid))
        if self._candidates and not self._paused:
            self._timer = self._loop.call_later(PAUSE, self._keep)

    def _keep_oldest(self, uid: int) -> None:
        client = self._candidates.oldest(uid)
        if client is None:
            return
        if len(self._kept) >= self._limit:
            self._displace()
        self._candidates.discard(client)
        slot = self._slots.take(client.accepted_at, _piece(client.sock))
        self._kept.add(client)
        client.attach_slot(slot)
        self._store.put(slot.name, client.sock.fileno())


def _piece(sock: socket.socket) -> int:
    """Return how many bytes the kernel queues as one piece, by the size of the send buffer."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2 - 64
