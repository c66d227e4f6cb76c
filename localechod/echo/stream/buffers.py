"""The memory that all connections together may use for incomplete messages and unsent replies."""

import heapq
from typing import Protocol

from localechod.echo.persist.crash_marks import MarkedFlow
from localechod.limits import BUFFERED_BYTES, UNCOUNTED_BYTES


class BufferOwner(Protocol):
    """A connection that has something buffered."""

    @property
    def uid(self) -> int:
        """Whose connection it is."""
        ...

    def evict(self) -> None:
        """Close; `BufferBudget.report` is called with 0 before this returns."""
        ...


class _UserBuffers:
    """What one user has buffered, with the largest owner at hand.

    The heap has an entry for each size that was reported. Those that are not true any more are
    removed when they come up, or when they are more than the others.
    """

    def __init__(self) -> None:
        self.total = 0
        self.sizes: dict[BufferOwner, int] = {}
        self._heap: list[tuple[int, int, BufferOwner]] = []
        self._serial = 0  # compared where sizes are equal, as owners have no order

    def set(self, owner: BufferOwner, size: int) -> None:
        self.total += size - self.sizes.pop(owner, 0)
        if size:
            self.sizes[owner] = size
            self._push(owner, size)
        if len(self._heap) > 2 * len(self.sizes) + 16:
            self._heap.clear()
            for each, known in self.sizes.items():
                self._push(each, known)

    def largest(self) -> BufferOwner:
        while True:
            negative, _, owner = self._heap[0]
            if self.sizes.get(owner) == -negative:
                return owner
            heapq.heappop(self._heap)

    def _push(self, owner: BufferOwner, size: int) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (-size, self._serial, owner))


class BufferBudget:
    """Counts the bytes that are buffered, by user.

    Beyond the limit, the largest connection of the user that has most is evicted. By connections
    alone, one user with many of them could have the single large one of another user evicted.

    The owner that grew last is not evicted for it. Otherwise one client could buffer almost all
    that is allowed, and so close every other connection that sends half a line.
    """

    def __init__(self) -> None:
        self._users: dict[int, _UserBuffers] = {}
        self._total = 0

    def __contains__(self, owner: BufferOwner) -> bool:
        user = self._users.get(owner.uid)
        return user is not None and owner in user.sizes

    def report(self, owner: BufferOwner, size: int) -> None:
        """Set how many bytes an owner has buffered; it may be evicted before this returns."""
        user = self._users.get(owner.uid)
        if user is None:
            user = self._users[owner.uid] = _UserBuffers()
        self._total -= user.total
        user.set(owner, size)
        self._total += user.total
        if not user.total:
            del self._users[owner.uid]
        while self._total > BUFFERED_BYTES:
            max(self._users.values(), key=_total).largest().evict()


def _total(user: _UserBuffers) -> int:
    return user.total


class BufferedFlow(MarkedFlow):
    """A flow that reports what it has buffered to a budget; see BufferOwner."""

    __slots__ = ()

    def buffered(self) -> int:
        """Return the bytes in memory for this client."""
        raise NotImplementedError

    def account(self) -> None:
        """Report the buffered bytes, after they may have changed; may close this connection."""
        size = self.buffered()
        size = size if size > UNCOUNTED_BYTES else 0
        if self.fd >= 0:
            self._budget().report(self, size)

    def evict(self) -> None:
        """See BufferOwner."""
        raise NotImplementedError

    def _budget(self) -> BufferBudget:
        raise NotImplementedError
