"""The replies of a datagram endpoint with faults: some are late, lost, doubled or out of order."""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from localechod.echo.counters import Counters
from localechod.echo.faults import EndpointFaults
from localechod.echo.reasons import Reason
from localechod.fault_plan import decide, with_held
from localechod.limits import DELAYED_BYTES, DELAYED_OVERHEAD

# Replies sent in one turn, at most, so that they delay no other endpoint for long.
_BATCH = 32


class Reply(NamedTuple):
    """One reply, to the sender of a datagram with these credentials (pid, uid, gid)."""

    data: bytes
    sender: str | bytes
    peer: tuple[int, int, int]


class Outlet(Protocol):
    """Sends replies to those of their senders that may still get them."""

    def begin_late(self, replies: Iterable[Reply]) -> None:
        """Begin a turn, in which some of these are sent: one list of senders serves all."""
        ...

    def send_late(self, reply: Reply) -> bool:
        """Send a reply, or count why not; False: this turn has taken long enough."""
        ...


@dataclass(order=True, slots=True)
class _Late:
    due: float
    serial: int  # replies that are due at the same time keep their order
    reply: Reply = field(compare=False)


class FaultyReplies:
    """Sends replies, or not, as the faults have it.

    Delayed replies are limited in bytes for each user; further ones are dropped and counted.

    Args:
        outlet: sends them.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        faults: EndpointFaults,
        counters: Counters,
        outlet: Outlet,
    ) -> None:
        self._loop = loop
        self._faults = faults
        self._counters = counters
        self._outlet = outlet
        self._messages = 0
        self._serial = 0
        self._held: Reply | None = None
        self._late: list[_Late] = []
        self._bytes: Counter[int] = Counter()  # by user, of _late
        self._timer: asyncio.TimerHandle | None = None

    def answer(self, reply: Reply) -> None:
        """Deal with the reply to the next datagram."""
        faults = self._faults
        self._messages += 1
        faults.take_message()
        held = None if self._held is None else self._held.data
        outcome = decide(faults.settings, 0, self._messages, reply.data, held)
        pid, uid, _gid = reply.peer
        for fault in outcome.done:
            faults.done(fault, 0, self._messages, pid, uid)
        replies, self._held = with_held(outcome, self._held, lambda data: reply._replace(data=data))
        for each in replies:
            if outcome.wait:
                self._delay(each, outcome.wait)
            else:
                self._outlet.send_late(each)
        self._die_if_last()

    def close(self) -> None:
        """Drop all that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._late.clear()
        self._bytes.clear()
        self._held = None
        self._messages = 0

    def _delay(self, reply: Reply, seconds: float) -> None:
        uid, size = reply.peer[1], len(reply.data) + DELAYED_OVERHEAD
        if self._bytes[uid] + size > DELAYED_BYTES:
            self._counters.errors[Reason.DELAYED_LIMIT] += 1
            return
        self._bytes[uid] += size
        self._serial += 1
        heapq.heappush(self._late, _Late(time.monotonic() + seconds, self._serial, reply))
        if self._late[0].serial == self._serial:
            self._schedule()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = max(0.0, self._late[0].due - time.monotonic())
        self._timer = self._loop.call_later(wait, self._send_due)

    def flush(self) -> None:
        """Send all that waits at once."""
        replies = [each.reply for each in sorted(self._late)]
        replies += [] if self._held is None else [self._held]
        self._outlet.begin_late(replies)
        for reply in replies:
            self._outlet.send_late(reply)
        self.close()

    def _send_due(self) -> None:
        self._timer = None
        now = time.monotonic()
        due: list[_Late] = []
        while len(due) < _BATCH and self._late and self._late[0].due <= now:
            due.append(heapq.heappop(self._late))
        self._outlet.begin_late(each.reply for each in due)
        going_on = True
        for each in due:
            if not going_on:
                heapq.heappush(self._late, each)
                continue
            uid = each.reply.peer[1]
            self._bytes[uid] -= len(each.reply.data) + DELAYED_OVERHEAD
            if not self._bytes[uid]:
                del self._bytes[uid]
            going_on = self._outlet.send_late(each.reply)
        if self._late:
            self._schedule()
        self._die_if_last()

    def _die_if_last(self) -> None:
        if self._faults.dead and not self._late:
            self._faults.die()
