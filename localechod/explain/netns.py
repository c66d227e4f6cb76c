"""Network namespaces: finding them, and running a function in another one.

connect(2) finds a socket with a path from every network namespace, but the kernel lists it only
in the socket's own. A socket that is not listed here may exist in another namespace.
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
    """The network namespaces of all processes.

    Attributes:
        pids: one process of each namespace, by the namespace's `identity`.
        complete: False where processes may be hidden from us (a pid namespace, hidepid=).
    """

    pids: dict[int, int]
    complete: bool


def survey() -> Namespaces:
    """Find the network namespaces; unlike reading /proc/PID/ns/net, this needs no privilege."""
    pids: dict[int, int] = {}
    for pid in sorted(int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()):
        number = identity(pid)
        if number is not None:
            pids.setdefault(number, pid)
    return Namespaces(pids, complete=not is_contained() and identity(1) is not None)


def identity(pid: int) -> int | None:
    """Return a number for a process's network namespace; None: the process has ended or is hidden.

    Each namespace has its own files in /proc/PID/net, and every user may read their inode numbers.
    """
    try:
        return Path(f"/proc/{pid}/net/unix").stat().st_ino
    except OSError:
        return None


def run_inside(pid: int | None, action: Callable[[], T]) -> T:
    """Run a function in a process's network namespace; None: in our own.

    It runs in a thread of its own, which ends afterwards, so that no namespace must be restored.

    Raises:
        OSError: the namespace may not be entered (setns(2)), the process has ended, or the
            function raised it.
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


def collect(action: Callable[[], T]) -> tuple[list[T], int | None]:
    """Run a function in each network namespace that can be entered, in our own first.

    Returns:
        What it returned, and the number of namespaces that could not be searched; None where some
        may be hidden.

    Raises:
        OSError: the function raised it in our own namespace.
    """
    results, closed = [action()], 0
    there = survey()
    ours = identity(os.getpid())
    for number, pid in there.pids.items():
        if number == ours:
            continue
        try:
            results.append(run_inside(pid, action))
        except (FileNotFoundError, ProcessLookupError):
            continue  # its last process has ended
        except OSError:
            closed += 1
    return results, closed if there.complete else None


def unsearched(count: int | None) -> str:
    """Return how many other network namespaces were not searched, as a clause; "" for none."""
    if count is None:
        return "network namespaces outside of this container were not searched"
    if count > 1:
        return f"{count} other network namespaces were not searched"
    return "1 other network namespace was not searched" if count else ""


def _enter(pid: int) -> None:
    with Path(f"/proc/{pid}/ns/net").open("rb") as namespace:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(namespace.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
