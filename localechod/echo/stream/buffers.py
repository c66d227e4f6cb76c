"""What all connections together keep in memory: incomplete messages and unsent replies."""

from typing import Protocol

# Bytes. A daemon that the system ends for its memory serves nobody.
LIMIT = 256 << 20

# What a connection keeps is counted from here on: less is what it costs to be there, and most
# never keep more.
SMALL = 16 << 10


class BufferOwner(Protocol):
    """Somebody who keeps something for a client, and can do without the client."""

    def evict(self) -> None:
        """Let go of it; reported by `Memory.hold` with 0, before this returns."""
        ...


class BufferBudget:
    """Counts what is kept; beyond the limit, whoever keeps most has to go.

    Not the one who asked for more last: somebody may keep all but a little for ever, and with that
    close the connection of everyone who comes with half a line.
    """

    def __init__(self) -> None:
        self._sizes: dict[BufferOwner, int] = {}
        self._total = 0

    def report(self, owner: BufferOwner, size: int) -> None:
        """Note what a owner keeps by now, in bytes; it may be evicted before this returns."""
        self._total += size - self._sizes.pop(owner, 0)
        if size:
            self._sizes[owner] = size
        while self._total > LIMIT:
            max(self._sizes, key=self._sizes.__getitem__).evict()
