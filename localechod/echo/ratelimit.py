"""Which log lines are written that peers can cause: limits for each user, and in all. No I/O.

A client can be refused a hundred thousand times a second. That must not displace other lines from
the journal, nor take the time that others are served in.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from localechod.limits import LOG_LINES, LOG_LINES_PER_USER, LOG_PAUSE, USER_ENTRIES

K = TypeVar("K")
T = TypeVar("T")


def table_key(table: dict[K | None, T], key: K, is_due: Callable[[T], bool]) -> K | None:
    """Return the key of an entry, or None, that of the shared one if the table is full.

    Args:
        table: entries by key; some of them are removed if it is full.
        key: of the entry, which need not be there yet.
        is_due: whether an entry makes no difference any more.
    """
    if key in table or len(table) < USER_ENTRIES:
        return key
    due = [each for each, entry in table.items() if is_due(entry)]
    for each in due:
        del table[each]
    return key if due else None


class _Entry(Struct):
    told: float = -math.inf
    untold: int = 0


class LineLimit:
    """Decides whether a line is written, and counts those that are left out.

    Attributes:
        left_out: how many lines were left out.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._entries: dict[tuple[str, int] | None, _Entry] = {}
        self._newest: deque[tuple[float, int]] = deque(maxlen=LOG_LINES)

    def note(self, topic: str, uid: int, pause: float, now: float) -> str | None:
        """Return a text to append to a line, or None for a line that is left out.

        Args:
            topic: what it is about; lines that were left out are counted by topic and user.
            uid: the user who has caused it.
            pause: seconds that have to pass after the last line about this topic and user.
            now: monotonic seconds.
        """
        entry = self._entry(topic, uid, now)
        if now - entry.told < pause or not self._has_space(uid, now):
            entry.untold += 1
            self.left_out += 1
            return None
        self._newest.append((now, uid))
        untold, entry.told, entry.untold = entry.untold, now, 0
        return f" (and {untold} more since the last line)" if untold else ""

    def leave_out(self, topic: str, uid: int, count: int, now: float) -> None:
        """Count lines that are left out in one step; see `note`."""
        self._entry(topic, uid, now).untold += count
        self.left_out += count

    def _entry(self, topic: str, uid: int, now: float) -> _Entry:
        key = table_key(self._entries, (topic, uid), lambda entry: now - entry.told >= LOG_PAUSE)
        return self._entries.setdefault(key, _Entry())

    def _has_space(self, uid: int, now: float) -> bool:
        newest = self._newest
        if len(newest) == LOG_LINES and now - newest[0][0] < 1.0:
            return False
        own = sum(user == uid and now - at < 1.0 for at, user in newest)
        return own < LOG_LINES_PER_USER
