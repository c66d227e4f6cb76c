"""Who may use an endpoint: decided from what the kernel says of a peer, without any I/O on it."""

from collections import Counter
from collections.abc import Iterable

from localechod.accounts import members
from localechod.localsocket.peer import Credentials


class AllowList:
    """The `allow` key: users and @groups; an empty list lets everyone in.

    Names are resolved once. A name without an account matches nobody, so a typing error closes a
    door and never opens one.
    """

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(names)
        self.everyone = not names
        self._uids, self._gids = members(names)

    def admits(self, peer: Credentials) -> bool:
        """Whether this peer is on the list, as a user or by one of its groups."""
        return self.everyone or peer.uid in self._uids or not self._gids.isdisjoint(peer.groups)


class UserLimit:
    """The `max_connections_per_user` key: connections now open, by uid; 0 is no limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: Counter[int] = Counter()

    def admits(self, uid: int) -> bool:
        """Whether this user may open one more."""
        return not self.limit or self._open[uid] < self.limit

    def enter(self, uid: int) -> None:
        """Count a connection that was let in."""
        self._open[uid] += 1

    def leave(self, uid: int) -> None:
        """Count one out; a user without connections is forgotten, so that the table cannot grow."""
        self._open[uid] -= 1
        if not self._open[uid]:
            del self._open[uid]
