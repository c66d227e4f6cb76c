"""Unplug the data plane of a localechod: `unplug.py PID`, as root. The event loop lives on.

The daemon serves its endpoints by an epoll of its own, which the loop's epoll watches. That one
entry is taken out of the loop's, from here: pidfd_getfd(2) gets both descriptors, and an entry is
known to epoll_ctl(2) by descriptor number and file, so the duplicate needs the same number.
"""

import ctypes
import os
import select
import sys
from pathlib import Path

PIDFD_GETFD = 438  # the same on every architecture


def epolls(pid: int) -> dict[int, set[int]]:
    """Return what each epoll of a process watches, by the numbers of its descriptors."""
    found = {}
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        if "[eventpoll]" in str(fd.readlink()):
            lines = Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text(encoding="ascii").splitlines()
            found[int(fd.name)] = {int(line.split()[1]) for line in lines if line[:4] == "tfd:"}
    return found


def entry(found: dict[int, set[int]]) -> tuple[int, int]:
    """Return the loop's epoll and the engine's: the engine's has the lanes', the loop's has it."""
    engines = {fd for fd, watched in found.items() if watched & found.keys()}
    ((loop, reactor),) = [(fd, one) for fd in engines for one in found[fd] & engines]
    return loop, reactor


def get(pidfd: int, number: int) -> int:
    """Duplicate a descriptor of another process, under whatever number is free here."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = int(libc.syscall(PIDFD_GETFD, pidfd, number, 0))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return fd


def main(pid: int) -> None:
    loop, reactor = entry(epolls(pid))
    pidfd = os.pidfd_open(pid)
    own = os.dup2(get(pidfd, loop), 500)  # out of the way of the engine's number
    os.dup2(get(pidfd, reactor), reactor)
    select.epoll.fromfd(own).unregister(reactor)
    assert reactor not in epolls(pid)[loop]


if __name__ == "__main__":
    main(int(sys.argv[1]))
