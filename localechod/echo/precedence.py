"""Which user is served next, of those that wait for the event loop. No I/O."""

import os
from collections.abc import Iterable


class Precedence:
    """Users take turns, and root and the service's own user have every second turn.

    The listening control socket is served for the service's own user. So a client waits to be
    accepted for one event, and not for one of each user that floods the control socket. A flood of
    connects, on the other hand, has no more than half of the turns. An administrator as root waits
    for no user but one.
    """

    def __init__(self) -> None:
        self._privileged = frozenset({0, os.geteuid()})
        self._last = False  # whether the latest turn was that of a privileged user

    def choose(self, waiting: Iterable[int]) -> int:
        """Return the next one of at least one user; `waiting` begins with the longest wait."""
        first = {uid in self._privileged: uid for uid in reversed(list(waiting))}
        self._last = not self._last if len(first) == 2 else next(iter(first))
        return first[self._last]
