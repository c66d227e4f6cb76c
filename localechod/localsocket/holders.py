"""Who holds which socket: the descriptors of all processes, read once."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from localechod.localsocket.peer import command

_PF_KTHREAD = 0x00200000  # linux/sched.h
_FIRST_PID_NAMESPACE = "pid:[4026531836]"  # linux/proc_ns.h: PROC_PID_INIT_INO


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a descriptor of a socket. `command` is escaped, "" where unknown."""

    pid: int
    uid: int
    command: str


@dataclass(frozen=True, slots=True)
class HolderTable:
    """Holders by the sockets' inodes, in the order of their pids.

    Attributes:
        holders: every socket that was asked for has an entry, an empty one if nobody was found.
        unreadable: how many processes would not show their descriptors.
    """

    holders: dict[int, list[Holder]]
    unreadable: int


def find_holders(socket_inodes: Collection[int]) -> HolderTable:
    """Find who holds these sockets by reading /proc/*/fd once (proc_pid_fd(5)).

    Best effort: the descriptors of other users' processes are readable for root only, and a
    descriptor on its way between two processes (SCM_RIGHTS) or kept by none is in no list.
    """
    links = {f"socket:[{inode}]": inode for inode in socket_inodes}
    found: dict[int, list[Holder]] = {inode: [] for inode in socket_inodes}
    unreadable = 0
    for pid in sorted(map(int, filter(str.isdecimal, os.listdir("/proc")))):  # noqa: PTH208 - Path objects take three times as long
        try:
            held = {links[link] for link in _descriptors(pid) if link in links}
        except PermissionError:
            unreadable += not _is_kernels(pid)
            continue
        if held and (uid := _effective_uid(pid)) is not None:
            holder = Holder(pid, uid, command(pid))
            for inode in held:
                found[inode].append(holder)
    return HolderTable(found, unreadable)


def is_contained() -> bool:
    """Whether there may be processes outside of our pid namespace, which nobody in it can see."""
    try:
        return os.readlink("/proc/self/ns/pid") != _FIRST_PID_NAMESPACE  # noqa: PTH115 - see find_holders
    except OSError:
        return True


def _descriptors(pid: int) -> list[str]:
    """Return what a process's descriptors are.

    Raises:
        PermissionError: that is not ours to see.
    """
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)  # noqa: PTH208 - see find_holders
    except (FileNotFoundError, ProcessLookupError):  # gone
        return []
    return [_link(f"{directory}/{name}") for name in names]


def _link(descriptor: str) -> str:
    try:
        return os.readlink(descriptor)  # noqa: PTH115 - see find_holders
    except (FileNotFoundError, ProcessLookupError):  # closed since the directory was read
        return ""


def _effective_uid(pid: int) -> int | None:
    """Read it from the status file: /proc/PID itself belongs to root after a privilege drop."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return None
    line = next(line for line in status.splitlines() if line.startswith(b"Uid:"))
    return int(line.split()[2])


def _is_kernels(pid: int) -> bool:
    """Tell a thread of the kernel, which has no descriptors to hide, from a process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return True  # gone
    return bool(int(stat.rpartition(b")")[2].split()[6]) & _PF_KTHREAD)
