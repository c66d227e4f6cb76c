"""Memory that is free goes back to the system."""

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # malloc.h

# Bytes. Larger blocks are mapped, and unmapped when they are free: mallopt(3).
_MAPPED = 128 * 1024


def return_large_blocks() -> None:
    """Have the C library return each large block when it is free; mallopt(3).

    This is its default, but only until the first such block is free. From then on it takes larger
    ones from the heap, where a small block behind them keeps all of it: after many messages of 16
    MiB the daemon kept 156 MiB, and with this 38.
    """
    with suppress(OSError, AttributeError):  # another C library, which has no such function
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MAPPED)
