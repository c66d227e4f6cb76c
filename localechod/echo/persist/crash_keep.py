"""Whose connections survive a crash: those that have lived longest, as many as there is room for.

Their sockets are held by somebody else as well, and that has its price for him: each is compared
with all others when it comes. So nobody is held who is only passing by, and those who are come a
few at a time. Clients come and go without more than an entry in a table.
"""

import asyncio
import logging
import socket
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Protocol

from localechod.echo.persist.crash_slots import NO_SLOT, Slot, Slots

log = logging.getLogger("localechod.echo")

# Seconds that a connection has to have lived: most of the short ones have gone by then.
AGE = 1.0

# So many at a time, with a pause of so many seconds after them. Clients who leave as soon as they
# are held, and come again, can make no more work of it than this.
BATCH = 16
PAUSE = 0.25


class SocketStore(Protocol):
    """Somebody who holds duplicates of our sockets, should we end without a word.

    Attributes:
        slots: where connections leave word of where they are; those that an earlier process has
            kept are in there.
    """

    @property
    def slots(self) -> Slots:
        """See above."""
        ...

    def put(self, name: str, descriptor: int) -> None:
        """Hold a duplicate under a name."""
        ...

    def remove(self, name: str) -> None:
        """Let go of what is held under a name."""
        ...


class Client(Protocol):
    """A connection, as far as it can be kept.

    Attributes:
        accepted_at: when it was accepted, in monotonic seconds.
        slot: NOWHERE, or where it leaves word.
    """

    sock: socket.socket
    accepted_at: float
    slot: Slot

    def attach_slot(self, slot: Slot) -> None:
        """Leave word in this slot from now on, and in no other."""
        ...


class CrashKeeper:
    """Decides who is kept, and sees to it.

    Args:
        keeper: who holds the sockets.
        wanted: how many connections at most.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, store: SocketStore, wanted: int) -> None:
        self._loop = loop
        self._store = store
        self._slots = store.slots
        self._wanted = wanted
        self._places = 0
        # Both in the order of their age. A plain dict would look for its first entry among all that
        # were taken out before it.
        self._kept: OrderedDict[Client, None] = OrderedDict()
        self._candidates: OrderedDict[Client, None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False

    def reserve(self, others: int) -> None:
        """Leave places to the sockets of so many endpoints; call it before they need them."""
        room = max(0, self._slots.count - others)
        self._places = min(self._wanted, room)
        if self._places < self._wanted and self._slots.count:
            log.warning(
                "crash_keep = %d: beside %d endpoints there is room for %d connections",
                self._wanted,
                others,
                self._places,
            )
        self._fit()
        self._schedule()

    def enter(self, client: Client) -> None:
        """Note a new connection."""
        if self._places:
            self._candidates[client] = None
            if self._timer is None:
                self._schedule()

    def resume(self, client: Client, serial: int) -> None:
        """Go on with one that an earlier process has kept under this serial."""
        slot = self._slots.find(serial, _piece(client.sock))
        if slot is not None and self._places:
            del self._candidates[client]
            self._kept[client] = None
            client.attach_slot(slot)

    def all_resumed(self) -> None:
        """Let go of what is kept and belongs to nobody here; after everyone has been resumed."""
        ours = {client.slot.serial for client in self._kept}
        for record in self._slots.records():
            if record.serial not in ours:
                self._slots.free(record.serial)
                self._store.remove(f"{record.serial}@{record.endpoint}")
        for clients in (self._kept, self._candidates):
            for client in sorted(clients, key=lambda client: client.accepted_at):
                clients.move_to_end(client)
        self._fit()
        self._schedule()

    def leave(self, client: Client) -> None:
        """Note that a connection ends; call it before its socket is closed.

        Whoever holds a duplicate may be late to close it, so this one is shut down for both.
        """
        if client.slot is NO_SLOT:
            self._candidates.pop(client, None)
            return
        self.unkeep(client)
        with suppress(OSError):  # the peer has gone already
            client.sock.shutdown(socket.SHUT_RDWR)

    def unkeep(self, client: Client) -> None:
        """A crash from now on ends this connection, whatever it is in the middle of."""
        if client.slot is not NO_SLOT:
            del self._kept[client]
            self._let_go(client)
            self._schedule()

    def pause(self) -> None:
        """Hold nobody more."""
        self._paused = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def unpause(self) -> None:
        """After `pause`."""
        self._paused = False
        self._schedule()

    def _fit(self) -> None:
        """Let go of the youngest where there are too many; they stay connected."""
        while len(self._kept) > self._places:
            client, _ = self._kept.popitem()
            self._let_go(client)
            if self._places:
                self._candidates[client] = None
                self._candidates.move_to_end(client, last=False)

    def _let_go(self, client: Client) -> None:
        slot = client.slot
        client.attach_slot(NO_SLOT)
        # In this order: a socket without a slot is closed by the process after a crash.
        self._slots.free(slot.serial)
        self._store.remove(slot.name)

    def _schedule(self) -> None:
        """Wait for the next one to be old enough, while there is one, and a place for it."""
        if self._timer is None and self._is_wanting():
            oldest = next(iter(self._candidates))
            wait = max(0.0, oldest.accepted_at + AGE - time.monotonic())
            self._timer = self._loop.call_later(wait, self._hold)

    def _is_wanting(self) -> bool:
        return bool(self._candidates) and len(self._kept) < self._places and not self._paused

    def _hold(self) -> None:
        self._timer = None
        due = time.monotonic() - AGE
        for _ in range(BATCH):
            if not self._is_wanting() or next(iter(self._candidates)).accepted_at > due:
                self._schedule()
                return
            client, _nothing = self._candidates.popitem(last=False)
            slot = self._slots.take(client.accepted_at, _piece(client.sock))
            self._kept[client] = None
            client.attach_slot(slot)
            self._store.put(slot.name, client.sock.fileno())
        if self._is_wanting():
            self._timer = self._loop.call_later(PAUSE, self._hold)


def _piece(sock: socket.socket) -> int:
    """Return how many bytes the kernel queues as one piece, by the size of the send buffer."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2 - 64
