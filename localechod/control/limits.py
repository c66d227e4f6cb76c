"""Limits on control connections, calls and bytes, counted per user. No I/O."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from localechod.echo.ratelimit import user_key

CONNECTIONS = 64
CONNECTIONS_PER_USER = 16
# Beyond the total. Two, because a client may connect before the end of its user's last client has
# been read.
SPARE_PER_USER = 2
CALLS_PER_USER = 64
# Requests hold a few names. The window is the least that HTTP/2 allows a connection, so that
# a client cannot send more than that ahead of the reader.
REQUEST_BYTES = 64 * 1024

# Bytes that a user may send, over all connections: so many at once, and so many a second. HTTP/2
# has frames that cost a hundred times more to handle than to send (HEADERS with RST_STREAM, PING).
# A call of localechoctl takes 300 to 500 bytes. A connection counts for so many more.
BURST_BYTES = REQUEST_BYTES + 32 * 1024
BYTES_PER_SECOND = 8 * 1024
CONNECTION_BYTES = 512

# Bytes that are read at a time, and handled before traffic has its turn: a dozen small frames.
READ_BYTES = 256

WINDOW_BYTES = 2**16 - 1


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
        self._reported: set[int] = set()
        self._budgets: dict[int | None, _Budget] = {}

    def spend(self, uid: int, count: int, now: float) -> str:
        """Count bytes of a user and return ""; or return the limit that they exceed.

        Args:
            uid: whose bytes they are; the privileged may send any number.
            count: how many.
            now: monotonic seconds.
        """
        if uid in self._privileged:
            return ""
        key = user_key(self._budgets, uid, lambda budget: budget.is_full(now))
        budget = self._budgets.setdefault(key, _Budget(BURST_BYTES, now))
        if budget.spend(count, now):
            return ""
        return f"uid {uid} sends more than {BYTES_PER_SECOND} bytes a second"

    def connect(self, uid: int) -> str:
        """Count a new connection and return ""; or return the limit that it exceeds."""
        others = sum(n for user, n in self._connections.items() if user not in self._privileged)
        if self._connections[uid] >= CONNECTIONS_PER_USER:
            return f"uid {uid} has {CONNECTIONS_PER_USER} control connections already"
        # Every user gets some: a few users with all of theirs must not keep the others out.
        spare = self._connections[uid] < SPARE_PER_USER
        if uid not in self._privileged and others >= CONNECTIONS and not spare:
            return f"there are {CONNECTIONS} control connections already"
        self._connections[uid] += 1
        return ""

    def disconnect(self, uid: int) -> None:
        """Remove a connection from the count; the user's next refusal is logged again."""
        self._connections[uid] -= 1
        self._connections += Counter()  # drops users with none, so that the table stays small
        self._reported.discard(uid)

    def should_report(self, uid: int) -> bool:
        """Return True for a user's first refusal since the last disconnect, False for others."""
        first = uid not in self._reported
        self._reported.add(uid)
        return first

    def call(self, uid: int) -> str:
        """Count a new call and return ""; or return the limit that it exceeds."""
        if self._calls[uid] >= CALLS_PER_USER:
            return f"uid {uid} has {CALLS_PER_USER} calls under way already"
        self._calls[uid] += 1
        return ""

    def end_call(self, uid: int) -> None:
        """Remove a call from the count."""
        self._calls[uid] -= 1
        self._calls += Counter()
