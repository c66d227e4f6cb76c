"""Rate limiting of repeated log lines and events: per user, and in all. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

# Seconds between two lines about the same user.
PAUSE = 10.0

# Lines about messages in a second: more would displace other lines from the journal, and each takes
# as long as the reply to some dozens of messages.
LINES = 10

# Users with an entry of their own at a time; all others share one entry.
USERS = 256


T = TypeVar("T")


def user_key(table: dict[int | None, T], uid: int, is_due: Callable[[T], bool]) -> int | None:
    """Return the key of a user's entry, or None, that of the shared one if the table is full.

    Args:
        table: entries by uid; those of other users are removed if it is full.
        uid: whose entry it is.
        is_due: whether an entry makes no difference any more.
    """
    if uid in table or len(table) < USERS:
        return uid
    due = [key for key, entry in table.items() if is_due(entry)]
    for key in due:
        del table[key]
    return uid if due else None


@dataclass(slots=True)
class _Entry:
    told: float
    untold: int = 0


class RateLimit:
    """Decides whether a refusal is reported: the first one of a user, then one in each PAUSE.

    A client can be refused a hundred thousand times a second. That must not displace other messages
    from the journal or from an event queue.
    """

    def __init__(self) -> None:
        self._entries: dict[int | None, _Entry] = {}

    def note(self, uid: int, now: float) -> str | None:
        """Count a refusal; return None if it is not reported, else a text to append to the line.

        Args:
            uid: the user who was refused.
            now: monotonic seconds.
        """
        key = user_key(self._entries, uid, lambda entry: now - entry.told >= PAUSE)
        entry = self._entries.get(key)
        if entry is not None and now - entry.told < PAUSE:
            entry.untold += 1
            return None
        self._entries[key] = _Entry(now)
        return f" (and {entry.untold} times since the last line)" if entry and entry.untold else ""


class LineLimit:
    """Allows LINES lines in a second, and counts those left out."""

    def __init__(self) -> None:
        self._second = 0.0
        self._lines = 0
        self._untold = 0

    def note(self, now: float) -> str | None:
        """Return None for a line that is left out, else a text to append to it.

        Args:
            now: monotonic seconds.
        """
        if now - self._second >= 1.0:
            self._second, self._lines = now, 0
        if self._lines >= LINES:
            self._untold += 1
            return None
        self._lines += 1
        untold, self._untold = self._untold, 0
        return f" (and {untold} messages that are not shown)" if untold else ""
