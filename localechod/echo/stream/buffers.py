"""The memory that all connections together may use for incomplete messages and unsent replies."""

from collections import Counter
from typing import Protocol

from localechod.echo.persist.crash_marks import MarkedFlow

# Bytes. The kernel kills a process that uses too much memory, and then nobody is served.
LIMIT = 256 << 20

# Bytes of a connection that are not counted: no more than the connection itself costs, and most
# connections never buffer more.
SMALL = 16 << 10


class BufferOwner(Protocol):
    """A connection that has something buffered."""

    @property
    def uid(self) -> int:
        """Whose connection it is."""
        ...

    def evict(self) -> None:
        """Close; `BufferBudget.report` is called with 0 before this returns."""
        ...


class BufferBudget:
    """Counts the bytes that are buffered, by user.

    Beyond the limit, the largest connection of the user that has most is evicted. By connections
    alone, one user with many of them could have the single large one of another user evicted.

    The owner that grew last is not evicted for it. Otherwise one client could buffer almost all
    that is allowed, and so close every other connection that sends half a line.
    """

    def __init__(self) -> None:
        self._sizes: dict[BufferOwner, int] = {}
        self._users: Counter[int] = Counter()
        self._total = 0

    def __contains__(self, owner: BufferOwner) -> bool:
        return owner in self._sizes

    def report(self, owner: BufferOwner, size: int) -> None:
        """Set how many bytes an owner has buffered; it may be evicted before this returns."""
        more = size - self._sizes.pop(owner, 0)
        self._total += more
        self._users[owner.uid] += more
        if size:
            self._sizes[owner] = size
        elif not self._users[owner.uid]:
            del self._users[owner.uid]
        while self._total > LIMIT:
            user = max(self._users, key=self._users.__getitem__)
            theirs = [each for each in self._sizes if each.uid == user]
            max(theirs, key=self._sizes.__getitem__).evict()


class BufferedFlow(MarkedFlow):
    """A flow that reports what it has buffered to a budget; see BufferOwner."""

    __slots__ = ()

    def buffered(self) -> int:
        """Return the bytes in memory for this client."""
        raise NotImplementedError

    def account(self) -> None:
        """Report the buffered bytes, after they may have changed; may close this connection."""
        size = self.buffered()
        size = size if size > SMALL else 0
        if self.fd >= 0:
            self._budget().report(self, size)

    def evict(self) -> None:
        """See BufferOwner."""
        raise NotImplementedError

    def _budget(self) -> BufferBudget:
        raise NotImplementedError
