"""Whether a server attends to its socket: the state of its processes, and its queue, seen twice.

Nothing is connected and nothing consumed. A process that runs and has an empty queue may still not
answer; this module finds the cases in which it cannot, or visibly does not.
"""

import resource
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localechod.explain import netns
from localechod.localsocket import diag
from localechod.localsocket.diag import DiagSocket

PAUSE = 0.1
"""Seconds between the two looks."""

_STOPPED = {"T": "stopped by a signal", "t": "stopped by a debugger"}  # proc_pid_stat(5)
_SYSTEMD = 1
_MOST_MESSAGES = Path("/proc/sys/net/unix/max_dgram_qlen")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that holds the socket.

    Attributes:
        pid: in our pid namespace.
        stopped: why it does not run, or "".
        limits: the soft and the hard limit of its descriptors; (0, 0) where unknown.
        free: how many descriptors are left below the soft limit; None where unknown.
        runs: how many times its threads were given a processor; None where unknown.
    """

    pid: int
    stopped: str = ""
    limits: tuple[int, int] = (0, 0)
    free: int | None = None
    runs: int | None = None


@dataclass(frozen=True, slots=True)
class Liveness:
    """What was seen of a server.

    Attributes:
        processes: those that hold the socket, without a service manager that keeps it for another
            one.
        waiting: something waits in the queue.
        moved: the queue has moved between the two looks; None where nothing waits or it is unknown.
        most: net.unix.max_dgram_qlen of the network namespace of a datagram socket, which gets the
            value at its making; None for other types, or where it cannot be read.
    """

    processes: tuple[Process, ...] = ()
    waiting: bool = False
    moved: bool | None = None
    most: int | None = None

    @property
    def is_served(self) -> bool | None:
        """Whether a client is answered, as far as it shows from outside; None: unknown."""
        if self.moved is False or self.all_stopped:
            return False
        return True if self.processes and (self.moved or not self.waiting) else None

    @property
    def all_stopped(self) -> bool:
        """No process that holds the socket runs."""
        return bool(self.processes) and all(each.stopped for each in self.processes)


def look(main: DiagSocket | None, pids: Sequence[int], namespace: int | None) -> Liveness:
    """Look at a socket's processes and its queue, and once more where something waits.

    Args:
        main: the socket; None: there is none.
        pids: the processes that hold it.
        namespace: a process of the network namespace that has the socket; None: ours.
    """
    if main is None:
        return Liveness()
    others = [pid for pid in pids if pid != _SYSTEMD]
    first = tuple(map(process, others))
    most = _most_messages(namespace) if main.type == socket.SOCK_DGRAM else None
    if not main.queue:
        return Liveness(first, most=most)
    before = _line(main, namespace)
    time.sleep(PAUSE)
    after = _line(main, namespace)
    second = tuple(map(process, others))
    if main.type == socket.SOCK_DGRAM:
        # The kernel tells the length of the next message only, and equal ones follow each other.
        ran = [each.runs for each in first] != [each.runs for each in second]
        moved = True if before != after else None if ran or not others else False
        return Liveness(second, waiting=True, moved=moved, most=most)
    moved = None if before is None or after is None else after[: len(before)] != before
    return Liveness(second, waiting=True, moved=moved)


def _line(main: DiagSocket, namespace: int | None) -> tuple[int, ...] | None:
    """Return what waits, in its order: clients of a listener, the length of a datagram."""
    try:
        if main.type == socket.SOCK_DGRAM:
            return (netns.run_inside(namespace, lambda: diag.of_inode(main.inode)).queue,)
        return netns.run_inside(namespace, lambda: diag.waiting(main.inode))
    except OSError:  # it is gone
        return None


def _most_messages(namespace: int | None) -> int | None:
    try:
        return int(netns.run_inside(namespace, _MOST_MESSAGES.read_bytes))
    except OSError:
        return None


def process(pid: int) -> Process:
    """Look at a process; what cannot be read, or has ended meanwhile, is unknown."""
    directory = Path(f"/proc/{pid}")
    try:
        state = _state(pid)
        runs = sum(_runs(each) for each in (directory / "task").iterdir())
    except (OSError, IndexError, ValueError):
        return Process(pid)
    reason = _STOPPED.get(state, "")
    try:
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = sum(1 for _ in (directory / "fd").iterdir())
    except OSError:  # of another user
        return Process(pid, reason, runs=runs)
    return Process(pid, reason, limits, max(limits[0] - used, 0), runs)


def stopped(pid: int) -> str:
    """Return why a process does not run, or ""; it takes a fraction of the time of `process`."""
    try:
        return _STOPPED.get(_state(pid), "")
    except (OSError, IndexError):
        return ""


def _state(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    return stat.rpartition(b")")[2].split()[0].decode()


def _runs(thread: Path) -> int:
    """Return how many times a thread was given a processor (scheduler/sched-stats.rst)."""
    return int((thread / "schedstat").read_bytes().split()[2])
