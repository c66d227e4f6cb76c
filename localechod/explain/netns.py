"""Network namespaces: which there are, and asking for sockets in another one.

A socket with a path is found by its file from every network namespace, but listed in its own
only. So that a socket is not listed here proves nothing as long as there are others to ask.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from localechod.localsocket.holders import is_contained

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000  # linux/sched.h


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The network namespaces of all processes: one pid for each, by a number that tells them apart.

    Attributes:
        pids: the processes to enter them by.
        complete: False where processes may be hidden from us (another pid namespace, hidepid).
    """

    pids: dict[int, int]
    complete: bool


def survey() -> Namespaces:
    """Find the network namespaces; takes no rights, unlike reading the links in /proc/PID/ns."""
    pids: dict[int, int] = {}
    for pid in sorted(int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()):
        number = identity(pid)
        if number is not None:
            pids.setdefault(number, pid)
    return Namespaces(pids, complete=not is_contained() and identity(1) is not None)


def identity(pid: int) -> int | None:
    """Return a number that tells a process's network namespace from others; None: hidden, gone.

    Each namespace has files of its own in /proc/PID/net, and their inode numbers are public.
    """
    try:
        return Path(f"/proc/{pid}/net/unix").stat().st_ino
    except OSError:
        return None


def run_inside(pid: int | None, action: Callable[[], T]) -> T:
    """Do something in a process's network namespace; None: in our own.

    In a thread that ends with it, so that nothing has to be put back.

    Raises:
        OSError: the namespace may not be entered (setns(2)), or is gone; or what `action` raises.
    """
    if pid is None or identity(pid) == identity(os.getpid()):
        return action()
    results: list[T] = []
    errors: list[OSError] = []

    def act() -> None:
        try:
            _enter(pid)
            results.append(action())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _enter(pid: int) -> None:
    with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(namespace.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
