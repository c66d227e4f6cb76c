"""Limits on control connections and calls, counted per user. No I/O."""

from collections import Counter
from collections.abc import Collection

CONNECTIONS = 64
CONNECTIONS_PER_USER = 16
CALLS_PER_USER = 64
# Requests hold a few names. The window is the least that HTTP/2 allows a connection, so that
# a client cannot send more than that ahead of the reader.
REQUEST_BYTES = 64 * 1024
WINDOW_BYTES = 2**16 - 1


class CallerLimits:
    """Counts connections and calls, and refuses those over the limits.

    The total does not count the privileged users (root and the daemon's own). Otherwise four users
    at their own limit could lock out the administrator.

    Args:
        privileged: uids that the total does not count.
    """

    def __init__(self, privileged: Collection[int]) -> None:
        self._privileged = frozenset(privileged)
        self._connections: Counter[int] = Counter()
        self._calls: Counter[int] = Counter()
        self._reported: set[int] = set()

    def connect(self, uid: int) -> str:
        """Count a new connection and return ""; or return the limit that it exceeds."""
        others = sum(n for user, n in self._connections.items() if user not in self._privileged)
        if self._connections[uid] >= CONNECTIONS_PER_USER:
            return f"uid {uid} has {CONNECTIONS_PER_USER} control connections already"
        if uid not in self._privileged and others >= CONNECTIONS:
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
