"""Bytes in pieces: a long line is neither copied nor moved as it grows."""

from collections import deque
from itertools import islice

# Bytes of a piece, at most.
_PIECE = 1 << 18


class Pieces:
    """Bytes in pieces, to which more can be added, and from which the first can be taken away.

    A line may have 16 MiB. To copy it, or to have it moved in memory where it grows, takes
    milliseconds, in which nobody else is served.
    """

    __slots__ = ("_parts", "_size", "_start")

    def __init__(self, data: bytes) -> None:
        self._parts = deque([bytearray(data)])
        self._size = len(data)
        self._start = 0  # bytes of the first piece that have been taken away

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self._parts)[self._start :]

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        if len(self._parts[-1]) + len(data) <= _PIECE:
            self._parts[-1] += data
        else:
            self._parts.append(bytearray(data))
        self._size += len(data)

    def prepend(self, data: bytes) -> None:
        """Add bytes at the beginning, of which nothing may have been taken away."""
        self._parts.appendleft(bytearray(data))
        self._size += len(data)

    def first(self) -> bytes:
        """Return the first piece; where there are more, it has more than half of the largest."""
        return bytes(self._parts[0])

    def some(self, count: int) -> list[memoryview]:
        """Return up to so many pieces, from the first on."""
        views = [memoryview(part) for part in islice(self._parts, count)]
        return [views[0][self._start :], *views[1:]]

    def drop(self, size: int) -> None:
        """Take so many bytes away, from the first on; some have to be left."""
        self._size -= size
        self._start += size
        while self._start >= len(self._parts[0]):
            self._start -= len(self._parts.popleft())
