"""How often something is told that happens too often to be told each time. No I/O."""

from dataclasses import dataclass

# Seconds between two lines about the same user.
PAUSE = 10.0

# Users that are told apart at a time; any further ones share one entry.
USERS = 256


@dataclass(slots=True)
class _Entry:
    told: float
    untold: int = 0


class RateLimit:
    """Says whether a refusal is to be told: a user's first one, then one in each pause.

    Whoever is refused may come again a hundred thousand times a second, and neither the journal nor
    a queue of events must hold what others have to say for less.
    """

    def __init__(self) -> None:
        self._entries: dict[int | None, _Entry] = {}

    def note(self, uid: int, now: float) -> str | None:
        """Count a refusal; return None where nothing is to be said, else what to add to the line.

        Args:
            uid: the user who was refused.
            now: monotonic seconds.
        """
        key = self._key(uid, now)
        entry = self._entries.get(key)
        if entry is not None and now - entry.told < PAUSE:
            entry.untold += 1
            return None
        self._entries[key] = _Entry(now)
        return f" (and {entry.untold} times since the last line)" if entry and entry.untold else ""

    def _key(self, uid: int, now: float) -> int | None:
        """Return the user's entry, or the one for everybody else where there is no room."""
        if uid in self._entries or len(self._entries) < USERS:
            return uid
        due = [key for key, entry in self._entries.items() if now - entry.told >= PAUSE]
        for key in due:
            del self._entries[key]
        return uid if due else None
