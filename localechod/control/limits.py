"""How much of the daemon its control callers may take: counts per user, and no I/O."""

from collections import Counter
from collections.abc import Collection

CONNECTIONS = 64
CONNECTIONS_PER_USER = 16
CALLS_PER_USER = 64
# Requests hold a few names. The window is the least HTTP/2 allows, so that what a client sends
# before anybody reads it stays as small.
REQUEST_BYTES = 64 * 1024
WINDOW_BYTES = 2**16 - 1


class CallerLimits:
    """Counts connections and calls, and says no beyond the limits.

    The total is for everyone but the privileged users (root and the daemon's own): four users at
    their own limit must not be able to lock out the administrator who wants to see them.

    Args:
        privileged: uids that the total does not count.
    """

    def __init__(self, privileged: Collection[int]) -> None:
        self._privileged = frozenset(privileged)
        self._connections: Counter[int] = Counter()
        self._calls: Counter[int] = Counter()
        self._told: set[int] = set()

    def connect(self, uid: int) -> str:
        """Count a new connection and return "", or why it is too many."""
        others = sum(n for user, n in self._connections.items() if user not in self._privileged)
        if self._connections[uid] >= CONNECTIONS_PER_USER:
            return f"uid {uid} has {CONNECTIONS_PER_USER} control connections already"
        if uid not in self._privileged and others >= CONNECTIONS:
            return f"there are {CONNECTIONS} control connections already"
        self._connections[uid] += 1
        return ""

    def disconnect(self, uid: int) -> None:
        """Forget a connection that was counted; its user may be told of again."""
        self._connections[uid] -= 1
        self._connections += Counter()  # drops users with none, so that the table stays small
        self._told.discard(uid)

    def worth_telling(self, uid: int) -> bool:
        """Return True once for each time a user runs into a limit, not for each attempt."""
        first = uid not in self._told
        self._told.add(uid)
        return first

    def call(self, uid: int) -> str:
        """Count a new call and return "", or why it is too many."""
        if self._calls[uid] >= CALLS_PER_USER:
            return f"uid {uid} has {CALLS_PER_USER} calls under way already"
        self._calls[uid] += 1
        return ""

    def end_call(self, uid: int) -> None:
        """Forget a call that was counted."""
        self._calls[uid] -= 1
        self._calls += Counter()
