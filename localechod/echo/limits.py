"""Which peers may use an endpoint: decided by their credentials alone, without I/O."""

from collections import Counter
from collections.abc import Iterable

from localechod.accounts import members
from localechod.localsocket.peer import Credentials


class AllowList:
    """The `allow` key: users and @groups; an empty list admits everyone.

    Names are resolved once. A name without an account matches nobody, so a typing error never
    admits anyone.
    """

    def __init__(self, names: Iterable[str]) -> None:
        names = tuple(names)
        self.everyone = not names
        self._uids, self._gids = members(names)

    def admits(self, peer: Credentials) -> bool:
        """Whether this peer is on the list, by its user or one of its groups."""
        return self.everyone or peer.uid in self._uids or not self._gids.isdisjoint(peer.groups)


class UserLimit:
    """The `max_connections_per_user` key: connections now open, by uid; 0 is no limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: Counter[int] = Counter()

    def admits(self, uid: int) -> bool:
        """Whether this user may open one more connection."""
        return not self.limit or self._open[uid] < self.limit

    def enter(self, uid: int) -> None:
        """Count a connection that was admitted."""
        self._open[uid] += 1

    def leave(self, uid: int) -> None:
        """Count a connection that has closed; users without any are removed from the table."""
        self._open[uid] -= 1
        if not self._open[uid]:
            del self._open[uid]
