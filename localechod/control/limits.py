"""Limits on control connections, calls and bytes, counted per user. No I/O."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from localechod.echo.ratelimit import table_key
from localechod.echo.reasons import Reason
from localechod.limits import (
    BURST_BYTES,
    BYTES_PER_SECOND,
    CALLS_PER_USER,
    CONTROL_CONNECTIONS,
    CONTROL_CONNECTIONS_PER_USER,
    CONTROL_CONNECTIONS_SPARE,
)


class Excess(NamedTuple):
    """A limit that is exceeded: how it is counted, and a text for the log and the caller."""

    reason: Reason
    text: str


@dataclass(slots=True)
class _Budget:
    """Bytes that a user may still send, as of a time."""

    left: float
    at: float

    def spend(self, count: int, now: float) -> bool:
        self.left = min(BURST_BYTES, self.left + (now - self.at) * BYTES_PER_SECOND) - count
        self.at = now
        if self.left >= 0:
            return True
        # A user who goes on waits for a second, and not longer the more was refused.
        self.left = max(self.left, -float(BYTES_PER_SECOND))
        return False

    def is_full(self, now: float) -> bool:
        return self.left + (now - self.at) * BYTES_PER_SECOND >= BURST_BYTES


class CallerLimits:
    """Counts connections, calls and bytes, and refuses those over the limits.

    The total does not count the privileged users (root and the daemon's own), nor does it refuse
    the first two connections of a user. Otherwise four users at their own limit could lock out all
    others.

    Args:
        privileged: uids that the total does not count.
    """

    def __init__(self, privileged: Collection[int]) -> None:
        self._privileged = frozenset(privileged)
        self._connections: Counter[int] = Counter()
        self._calls: Counter[int] = Counter()
        self._budgets: dict[int | None, _Budget] = {}

    def spend(self, uid: int, count: int, now: float) -> Excess | None:
        """Count bytes of a user and return None; or return the limit that they exceed.

        Args:
            uid: whose bytes they are; the privileged may send any number.
            count: how many.
            now: monotonic seconds.
        """
        if uid in self._privileged:
            return None
        key = table_key(self._budgets, uid, lambda budget: budget.is_full(now))
        budget = self._budgets.setdefault(key, _Budget(BURST_BYTES, now))
        if budget.spend(count, now):
            return None
        text = f"uid {uid} sends more than {BYTES_PER_SECOND} bytes a second"
        return Excess(Reason.BYTE_LIMIT, text)

    def connect(self, uid: int) -> Excess | None:
        """Count a new connection and return None; or return the limit that it exceeds."""
        excess = self.too_many(uid)
        if excess is None:
            self._connections[uid] += 1
        return excess

    def too_many(self, uid: int) -> Excess | None:
        """Return the limit that a new connection of a user would exceed, or None."""
        others = sum(n for user, n in self._connections.items() if user not in self._privileged)
        if self._connections[uid] >= CONTROL_CONNECTIONS_PER_USER:
            text = f"uid {uid} has {CONTROL_CONNECTIONS_PER_USER} control connections already"
            return Excess(Reason.USER_LIMIT, text)
        # Every user gets some: a few users with all of theirs must not keep the others out.
        spare = self._connections[uid] < CONTROL_CONNECTIONS_SPARE
        if uid not in self._privileged and others >= CONTROL_CONNECTIONS and not spare:
            text = f"there are {CONTROL_CONNECTIONS} control connections already"
            return Excess(Reason.TOTAL_LIMIT, text)
        return None

    def disconnect(self, uid: int) -> None:
        """Remove a connection from the count."""
        self._connections[uid] -= 1
        self._connections += Counter()  # drops users with none, so that the table stays small

    def call(self, uid: int) -> Excess | None:
        """Count a new call and return None; or return the limit that it exceeds."""
        if self._calls[uid] >= CALLS_PER_USER:
            text = f"uid {uid} has {CALLS_PER_USER} calls under way already"
            return Excess(Reason.CALL_LIMIT, text)
        self._calls[uid] += 1
        return None

    def end_call(self, uid: int) -> None:
        """Remove a call from the count."""
        self._calls[uid] -= 1
        self._calls += Counter()
