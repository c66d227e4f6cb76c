"""Unplug the data plane of a localechod: `unplug.py PID`, as root. The event loop lives on.

All descriptors are in one epoll. Those of the data plane are taken out of it, from here; what is
asyncio's stays: its wake-up socket, which was registered first, and the control socket with its
connections. pidfd_getfd(2) gets the descriptors. An entry is known to epoll_ctl(2) by descriptor
number and file, so each duplicate needs the same number.
"""

import ctypes
import os
import select
import socket
import sys
from contextlib import suppress
from pathlib import Path

PIDFD_GETFD = 438  # the same on every architecture


def epolls(pid: int) -> dict[int, dict[int, int]]:
    """Return what each epoll of a process watches: the number of its registration, by descriptor.

    The compiled part has that number in the upper half of an entry's data.
    """
    found = {}
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        if "[eventpoll]" in str(fd.readlink()):
            lines = Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text(encoding="ascii").splitlines()
            entries = [line.split() for line in lines if line.startswith("tfd:")]
            found[int(fd.name)] = {int(entry[1]): int(entry[5], 16) >> 32 for entry in entries}
    return found


def get(pidfd: int, number: int) -> int:
    """Duplicate a descriptor of another process, under whatever number is free here."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.syscall(PIDFD_GETFD, pidfd, number, 0))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return fd


def is_control(descriptor: int) -> bool:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as sock:
        return str(sock.getsockname()).endswith("control.sock")
    return False


def main(pid: int) -> None:
    found = epolls(pid)
    root = max(found, key=lambda fd: len(found[fd]))
    pidfd = os.pidfd_open(pid)
    own = os.dup2(get(pidfd, root), 500)  # out of the way of the numbers below
    os.dup2(pidfd, 501)
    epoll = select.epoll.fromfd(own)
    for fd, number in found[root].items():
        os.dup2(get(501, fd), fd)
        if number > 1 and not is_control(fd):
            epoll.unregister(fd)
    left = epolls(pid)[root]
    assert 1 in left.values()
    assert len(left) < len(found[root])


if __name__ == "__main__":
    main(int(sys.argv[1]))
