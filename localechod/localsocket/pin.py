"""Opens a file by a path that another user has chosen, without use of this process's descriptors.

A path may lead to `/proc/self/fd/N`, by symbolic links too, and so to a descriptor of the process
that looks it up. If that is a directory that another user has passed, its file system may be
theirs, such as an overlay over FUSE in a user namespace: it need never answer, and no signal ends
the wait.
"""

import ctypes
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
    return _openat2(path) if _HAS_OPENAT2 else os.open(path, _FLAGS)


def _openat2(path: str) -> int:
    found = int(_libc.syscall(_OPENAT2, _AT_FDCWD, os.fsencode(path), _how, len(_how)))
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return found


def _has_openat2() -> bool:
    """Whether there is such a call: not before Linux 5.6, nor below some seccomp filters."""
    try:
        os.close(_openat2("/"))
    except OSError:
        return False
    return True


_HAS_OPENAT2 = _has_openat2()
