"""An abstract name that no socket of the client's network namespace has: where else it is bound.

Each network namespace has its own abstract names (unix(7)). And a name may end in NUL bytes: a
server that passes sizeof(struct sockaddr_un) to bind(2) gets a name of 108 bytes, which is another
one than the same text without them.
"""

import errno
from dataclasses import dataclass

from localechod.explain import listings, netns
from localechod.explain.check import Check
from localechod.explain.processes import HoldingProcess, describe, holding_processes
from localechod.explain.remedy import advice
from localechod.localsocket import diag
from localechod.localsocket.notation import without_nuls
from localechod.text import escape


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The sockets that have nearly this name.

    Attributes:
        similar: names in the client's network namespace that differ in NUL bytes only.
        other_pid: a process of another network namespace in which a socket has the name; None
            where none was found.
        holders: the processes that hold it there.
    """

    similar: tuple[bytes, ...] = ()
    other_pid: int | None = None
    holders: tuple[HoldingProcess, ...] = ()


def search(name: bytes, pid: int | None) -> Elsewhere:
    """Search for an abstract name that no socket of the client's network namespace has.

    Args:
        name: with its leading NUL.
        pid: a process of that namespace; None: our own.
    """
    found = listings.search_others(lambda: diag.named(name), pid)
    held, _ = holding_processes(found.sockets) if found.sockets else ({}, 0)
    holders = {each.pid: each for processes in held.values() for each in processes}
    return Elsewhere(_similar(name, pid), found.other_pid, tuple(holders.values()))


def _similar(name: bytes, pid: int | None) -> tuple[bytes, ...]:
    """Return the names that differ from an abstract one in NUL bytes only."""
    bare = without_nuls(name)
    try:
        listed = netns.run_inside(pid, diag.sockets)
    except OSError:  # the list was read before, so this is a matter of a moment
        return ()
    names = {each.name for each in listed if each.name and without_nuls(each.name) == bare}
    return tuple(sorted(names - {name}))


def check_unbound(elsewhere: Elsewhere) -> Check:
    """Check a name that no socket of the client's network namespace has."""
    detail = "no socket is bound to this name in this network namespace"
    remedy = "start the server, or check from its network namespace with --pid"
    if elsewhere.similar:
        found = elsewhere.similar[0]
        bare = found.rstrip(b"\0")
        padding = len(found) - len(bare)
        shown = f"{escape(bare)} and {padding} NUL bytes" if padding > 1 else escape(found)
        detail += f"; there is {shown}, and NUL bytes belong to a name"
        remedy = (
            "connect to that name, or have the server pass to bind(2) the length of the name, "
            "not sizeof(struct sockaddr_un)"
        )
    elif elsewhere.other_pid is not None:
        who = "; ".join(map(describe, elsewhere.holders))
        who = who or f"a process of the network namespace of process {elsewhere.other_pid}"
        detail += f"; another one has it, held by {who}"
        pid = elsewhere.other_pid
        remedy = (
            f"run the client in that network namespace (nsenter --net --target {pid}; for a "
            "container, --network=host or hostNetwork), or let the server use a path, which works "
            "across network namespaces"
        )
    return Check("listener", "problem", detail, errno.ECONNREFUSED, advice(remedy))
