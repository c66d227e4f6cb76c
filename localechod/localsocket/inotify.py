"""One inotify(7) instance: its watches and its events.

Not inotify_simple: to find the C library, it has ctypes start ldconfig(8) at each start of the
daemon. docs/design.md has the other libraries.
"""

import ctypes
import os
import struct
from collections.abc import Callable, Iterator

# sys/inotify.h
ATTRIB = 0x4
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
Q_OVERFLOW = 0x4000
IGNORED = 0x8000
ONLYDIR = 0x1000000
DONT_FOLLOW = 0x2000000

_EVENT = struct.Struct("iIII")  # inotify_event: watch, mask, cookie, length of the name

# Bytes per read; further events in the queue wait for the next iteration of the loop. An event
# takes 16, and up to 272 with a name.
_READ_SIZE = 512

_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """An instance; it does not block.

    Attributes:
        descriptor: it becomes readable when there are events.

    Raises:
        OSError: EMFILE, ENFILE, inotify_init1(2).
    """

    def __init__(self) -> None:
        self.descriptor = _call(_libc.inotify_init1, os.O_NONBLOCK | os.O_CLOEXEC)

    def add(self, path: str, mask: int) -> int:
        """Watch an inode; return the number of the watch.

        Raises:
            OSError: as inotify_add_watch(2).
        """
        return _call(_libc.inotify_add_watch, self.descriptor, os.fsencode(path), mask)

    def remove(self, watch: int) -> None:
        """Remove a watch.

        Raises:
            OSError: EINVAL: its inode is gone, and the watch with it.
        """
        _call(_libc.inotify_rm_watch, self.descriptor, watch)

    def events(self) -> Iterator[tuple[int, int, bytes]]:
        """Read pending events and yield each one's watch, mask and name; b"" is no name."""
        try:
            data = os.read(self.descriptor, _READ_SIZE)
        except BlockingIOError:
            return
        start = 0
        while start < len(data):
            watch, mask, _cookie, length = _EVENT.unpack_from(data, start)
            start += _EVENT.size + length
            yield watch, mask, data[start - length : start].rstrip(b"\0")

    def close(self) -> None:
        """Close the descriptor; again without effect."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def _call(function: Callable[..., int], *arguments: int | bytes) -> int:
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
