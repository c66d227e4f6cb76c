"""The map as values: processes in groups, the sockets they serve, and the links between them.

Nothing here does I/O. `survey` gathers the facts; `page`, `svg` and `dot` write the map.
"""

import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from localechod.accounts import user_name
from localechod.ctl.hostmap.stuck import Stuck
from localechod.explain.processes import HoldingProcess
from localechod.localsocket.diag import STATE_LISTEN, DiagSocket
from localechod.localsocket.pairs import Connection, End, connections
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

_SYSTEMD = 1


@dataclass(frozen=True, slots=True)
class Process:
    """A process, or all those of a user that cannot be seen.

    Attributes:
        pid: None where it cannot be seen.
        group: its unit; without one, its command and user.
        stuck: why it does not run, or "".
    """

    pid: int | None
    user: str
    command: str
    group: str
    stuck: str


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket that waits for clients.

    Attributes:
        name: escaped.
        queue: of a listener, the clients that wait; of others, the length of the next message.
        backlog: of a listener, the limit of `queue`.
        stuck: why its clients are not served, or "".
        processes: those that hold it, as indices; the one at which links are drawn is the first.
    """

    name: str
    type: str
    listening: bool
    queue: int
    backlog: int
    stuck: str
    processes: tuple[int, ...]


@dataclass(slots=True)
class Link:
    """All connections between two processes through one name.

    Attributes:
        client: an index of the processes; of a socketpair(2), one of the two.
        server: an index of the processes.
        name: escaped; "" for a socketpair.
        states: how many connections are in each state; see `pairs.Connection.state`.
        to_server: bytes that the servers' ends have not read.
        to_client: bytes that the clients' ends have not read.
        stuck: why the first connection that is stuck is so, or "".
        stuck_at: the process that does not read or accept; None where none is stuck.
    """

    client: int
    server: int
    name: str
    type: str
    states: dict[str, int] = field(default_factory=dict)
    to_server: int = 0
    to_client: int = 0
    stuck: str = ""
    stuck_at: int | None = None

    @property
    def count(self) -> int:
        """The number of connections."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class HostMap:
    """The map of one host.

    Attributes:
        host: its name, escaped.
        time: when the sockets were listed, as text.
        notes: what limits the map, a sentence each.
    """

    host: str
    time: str
    processes: list[Process]
    sockets: list[Socket]
    links: list[Link]
    notes: list[str]

    def units(self) -> set[str]:
        """Return the groups of all processes."""
        return {each.group for each in self.processes}

    def stuck_units(self) -> set[str]:
        """Return the groups that have a process which does not run, accept or read."""
        at_fault = {link.stuck_at for link in self.links if link.stuck}
        at_fault |= {each.processes[0] for each in self.sockets if each.stuck}
        processes = enumerate(self.processes)
        return {each.group for number, each in processes if each.stuck or number in at_fault}


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found on a host.

    Attributes:
        namespaces: the sockets of each network namespace.
        holders: the processes of each socket, by its inode.
        stuck: what does not move.
    """

    host: str
    time: str
    namespaces: Sequence[Sequence[DiagSocket]]
    holders: Mapping[int, Sequence[HoldingProcess]]
    stuck: Stuck
    notes: Sequence[str] = ()


def build(facts: Facts) -> HostMap:
    """Return the map.

    A socket that several processes hold is drawn at one of them: that with the lowest pid, but at
    systemd only where no other process holds it. A pair within one process is left out.
    """
    return _Builder(facts).build()


class _Builder:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._processes: dict[Process, int] = {}
        self._links: dict[tuple[int, int, str, str], Link] = {}

    def build(self) -> HostMap:
        listed = [each for sockets in self._facts.namespaces for each in sockets]
        served = [self._socket(each) for each in sorted(filter(_waits, listed), key=_order)]
        for each in sorted(connections(self._facts.namespaces), key=_connection_order):
            self._add(each)
        facts = self._facts
        links = list(self._links.values())
        return HostMap(
            facts.host, facts.time, list(self._processes), served, links, list(facts.notes)
        )

    def _socket(self, each: DiagSocket) -> Socket:
        name, kind = escape(each.name or b""), TYPE_NAMES.get(each.type, str(each.type))
        listening = each.state == STATE_LISTEN
        # Of a datagram socket the field has what it has sent, and not a limit.
        backlog = each.backlog if listening else 0
        stuck = self._facts.stuck.sockets.get(each.inode, "")
        holders = tuple(self._at(End(each.inode, each)))
        return Socket(name, kind, listening, each.queue, backlog, stuck, holders)

    def _add(self, each: Connection) -> None:
        client, server = each.client, each.server
        if server is None and each.state == "waiting" and each.listener is not None:
            server = End(each.listener.inode, each.listener)
        if client is None or server is None:
            return  # one end is closed: nothing is connected to it
        first, second = self._at(client)[0], self._at(server)[0]
        if first == second and not each.name:
            return
        name, kind = escape(each.name or b""), TYPE_NAMES.get(each.type, str(each.type))
        key = first, second, name, kind
        link = self._links.setdefault(key, Link(*key))
        link.states[each.state] = link.states.get(each.state, 0) + 1
        link.to_server += _unread(each.server)
        link.to_client += _unread(each.client)
        for end, index in ((server, second), (client, first)):
            reason = self._facts.stuck.sockets.get(end.inode)
            if reason and not link.stuck:
                link.stuck, link.stuck_at = reason, index

    def _at(self, end: End) -> list[int]:
        """Return the processes that hold an end, the one at which it is drawn first."""
        holders = self._facts.holders.get(end.inode, ())
        ordered = sorted(holders, key=lambda each: (each.pid == _SYSTEMD, each.pid))
        found: Iterable[Process] = map(self._seen, ordered) if ordered else [_hidden(end)]
        return [self._processes.setdefault(each, len(self._processes)) for each in found]

    def _seen(self, each: HoldingProcess) -> Process:
        command = each.command or "unknown"
        group = each.unit or f"{command} ({each.user})"
        stopped = self._facts.stuck.processes.get(each.pid, "")
        return Process(each.pid, each.user, command, group, stopped)


def _hidden(end: End) -> Process:
    """Return what stands for a process that cannot be seen: all those of its user."""
    known = end.socket is not None and end.socket.uid is not None
    user = user_name(end.socket.uid) if known else "unknown"  # type: ignore[union-attr,arg-type]
    return Process(None, user, "not visible", f"not visible ({user})", "")


def _waits(each: DiagSocket) -> bool:
    """Whether clients may connect to it, or send to it."""
    if each.type == socket.SOCK_DGRAM:
        return each.name is not None
    return each.state == STATE_LISTEN


def _unread(end: End | None) -> int:
    return end.socket.queue if end and end.socket and end.socket.state != STATE_LISTEN else 0


def _order(each: DiagSocket) -> tuple[bytes, int]:
    return each.name or b"", each.inode


def _connection_order(each: Connection) -> tuple[bytes, int]:
    end = each.client or each.server
    return each.name or b"", end.inode if end else 0
