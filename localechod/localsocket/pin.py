"""Opens a file by a path that another user has chosen, without use of this process's descriptors.

A path may lead to `/proc/self/fd/N`, by symbolic links too, and so to a descriptor of the process
that looks it up. If that is a directory that another user has passed, its file system may be
theirs, such as an overlay over FUSE in a user namespace: it need never answer, and no signal ends
the wait.
"""

import ctypes
import errno
import os
import struct

_OPENAT2 = 437  # on every architecture
_AT_FDCWD = -100  # fcntl.h
_RESOLVE_NO_MAGICLINKS = 0x02  # linux/openat2.h
_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

_how = struct.pack("=QQQ", _FLAGS, 0, _RESOLVE_NO_MAGICLINKS)  # struct open_how
_libc = ctypes.CDLL(None, use_errno=True)


def pin(path: str) -> int:
    """Open the file at a path with O_PATH (open(2)); of a symbolic link, the link itself.

    Returns:
        A descriptor.

    Raises:
        OSError: as openat2(2): ELOOP for a path through a link such as those in /proc/PID/fd.
    """
    found = int(_libc.syscall(_OPENAT2, _AT_FDCWD, os.fsencode(path), _how, len(_how)))
    if found >= 0:
        return found
    number = ctypes.get_errno()
    if number == errno.ENOSYS:  # before Linux 5.6, and below some seccomp filters
        return os.open(path, _FLAGS)
    raise OSError(number, os.strerror(number), path)
