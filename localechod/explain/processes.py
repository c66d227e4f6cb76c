"""The processes that hold a socket, with the names of their users and their systemd units."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from localechod.accounts import user_name
from localechod.explain import units
from localechod.localsocket.diag import DiagSocket
from localechod.localsocket.holders import find_holders


@dataclass(frozen=True, slots=True)
class HoldingProcess:
    """A process that has a descriptor of the socket.

    Attributes:
        pid: its number in our pid namespace.
        user: the name of its effective user, escaped.
        command: its name, escaped; "" where unknown.
        unit: its systemd unit; "" where it has none.
    """

    pid: int
    user: str
    command: str
    unit: str


def holding_processes(
    sockets: Sequence[DiagSocket],
) -> tuple[dict[int, list[HoldingProcess]], int]:
    """Find the processes that hold these sockets; see `processes_of`."""
    return processes_of({each.inode for each in sockets})


def processes_of(inodes: Collection[int]) -> tuple[dict[int, list[HoldingProcess]], int]:
    """Find the processes that hold the sockets with these inodes, in any network namespace.

    Returns:
        The processes of each socket by the socket's inode, and the number of processes whose
        descriptors could not be read.
    """
    table = find_holders(inodes)
    by_pid = {each.pid: each for holders in table.holders.values() for each in holders}
    processes = {
        pid: HoldingProcess(pid, user_name(each.uid), each.command, units.unit_of(pid))
        for pid, each in by_pid.items()
    }
    found = {
        inode: [processes[each.pid] for each in holders] for inode, holders in table.holders.items()
    }
    return found, table.unreadable


def describe(process: HoldingProcess) -> str:
    """Return a process in one phrase: its command, pid, user and unit."""
    rest = ", ".join(filter(None, [str(process.pid), process.user, process.unit]))
    return f"{process.command or 'unknown'} ({rest})"
