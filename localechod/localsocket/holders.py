"""The processes that hold a socket, from the descriptors of all processes."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from localechod.localsocket.peer import command

_PF_KTHREAD = 0x00200000  # linux/sched.h
_FIRST_PID_NAMESPACE = "pid:[4026531836]"  # linux/proc_ns.h: PROC_PID_INIT_INO


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a descriptor of a socket; `command` is escaped, "" where unknown."""

    pid: int
    uid: int
    command: str


@dataclass(frozen=True, slots=True)
class HolderTable:
    """The result of `find_holders`.

    Attributes:
        holders: by the socket's inode, in the order of their pids; every socket of the request has
            an entry, which may be empty.
        unreadable: the number of processes whose descriptors could not be read.
    """

    holders: dict[int, list[Holder]]
    unreadable: int


def find_holders(socket_inodes: Collection[int]) -> HolderTable:
    """Find the processes that hold these sockets, by reading /proc/*/fd once (proc_pid_fd(5)).

    Best effort: only root may read the descriptors of other users' processes. A descriptor that is
    being passed between processes (SCM_RIGHTS) is in no list.
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


def holds(socket_inodes: Collection[int]) -> bool:
    """Whether this process has a descriptor of each of these sockets."""
    return not socket_inodes or sockets_of(os.getpid()).issuperset(socket_inodes)


def sockets_of(pid: int) -> set[int]:
    """Return the inodes of a process's sockets; none where it has ended.

    Raises:
        PermissionError: we may not read its descriptors.
    """
    links = (link for link in _descriptors(pid) if link.startswith("socket:["))
    return {int(link.removeprefix("socket:[").removesuffix("]")) for link in links}


def is_contained() -> bool:
    """Whether we are in a pid namespace outside of which there may be other processes."""
    try:
        return os.readlink("/proc/self/ns/pid") != _FIRST_PID_NAMESPACE  # noqa: PTH115 - see find_holders
    except OSError:
        return True


def _descriptors(pid: int) -> list[str]:
    """Return what the descriptors of a process link to.

    Raises:
        PermissionError: we may not read them.
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
    """Read the uid from the status file: after a privilege drop, root owns /proc/PID itself."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return None
    # Not splitlines(): the kernel does not escape a carriage return in the process's name, which
    # precedes the field, so a name could forge the field.
    line = next(line for line in status.split(b"\n") if line.startswith(b"Uid:"))
    return int(line.split()[2])


def _is_kernels(pid: int) -> bool:
    """Whether it is a kernel thread, which has no descriptors."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return True  # gone
    return bool(int(stat.rpartition(b")")[2].split()[6]) & _PF_KTHREAD)
