"""What does not move: sockets whose queue stays as it is, and processes that do not run.

The rules are those of `explain.liveness`, applied to all sockets of a host at once.
"""

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from localechod.explain.liveness import PAUSE, Process
from localechod.localsocket.diag import STATE_LISTEN, DiagSocket

_SYSTEMD = 1


@dataclass(frozen=True, slots=True)
class Stuck:
    """The reasons, in one phrase each; what moves is in neither.

    Attributes:
        sockets: by inode.
        processes: by pid.
    """

    sockets: Mapping[int, str]
    processes: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one time.

    Attributes:
        sockets: by inode.
        processes: by pid.
    """

    sockets: Mapping[int, DiagSocket]
    processes: Mapping[int, Process]


def suspects(sockets: Iterable[DiagSocket]) -> list[DiagSocket]:
    """Return the sockets in which something waits."""
    return [each for each in sockets if each.queue]


def find(first: Look, second: Look, holders: Mapping[int, Sequence[int]]) -> Stuck:
    """Compare two looks, `PAUSE` seconds or more apart.

    Args:
        first: the earlier one; a socket that is in only one of the two is not judged.
        second: the later one.
        holders: the pids of each socket in which something waits, by its inode.
    """
    stopped = {pid: each.stopped for pid, each in second.processes.items() if each.stopped}
    reasons = {}
    for before in suspects(first.sockets.values()):
        after = second.sockets.get(before.inode)
        pids = [pid for pid in holders.get(before.inode, ()) if pid != _SYSTEMD]
        if after is not None and (reason := _reason(before, after, pids, first, second)):
            reasons[before.inode] = reason
    return Stuck(reasons, stopped)


def _reason(
    before: DiagSocket, after: DiagSocket, pids: list[int], first: Look, second: Look
) -> str:
    if before.state == STATE_LISTEN and before.type != socket.SOCK_DGRAM:
        if not before.pending or after.pending[: len(before.pending)] != before.pending:
            return ""
        full = [second.processes[pid] for pid in pids if second.processes[pid].free == 0]
        why = f"; process {full[0].pid} has all its descriptors in use" if full else ""
        return f"{_count(after.queue, 'connection')} not accepted in {PAUSE:g} s{why}"
    # Equal lengths may be other bytes: a process that ran meanwhile may have read them.
    ran = any(_runs(first, pid) != _runs(second, pid) for pid in pids)
    if after.queue < before.queue or ran or not pids:
        return ""
    return f"{_count(after.queue, 'byte')} not read in {PAUSE:g} s"


def _runs(look: Look, pid: int) -> int | None:
    return look.processes[pid].runs if pid in look.processes else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
