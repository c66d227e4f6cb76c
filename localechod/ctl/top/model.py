"""What changed between two samples: rates of our endpoints, and queues of all local sockets.

Nothing here does I/O.
"""

import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localechod.localsocket.diag import STATE_LISTEN, DiagSocket
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

if TYPE_CHECKING:
    from localechod.control.messages import EndpointStatus, StatusReport

SORTS = ("load", "trouble", "name")
"""By messages and queues; by errors and the growth of queues; by name."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one time.

    Attributes:
        seconds: by the monotonic clock.
        report: of the daemon; None where it does not answer.
        problem: why it does not, or "".
        sockets: those of this network namespace.
    """

    seconds: float
    report: "StatusReport | None"
    problem: str
    sockets: Sequence[DiagSocket]


@dataclass(frozen=True, slots=True)
class EndpointRates:
    """An endpoint, with its rates for each second; None where there is no earlier sample.

    Attributes:
        new_errors: how often each reason occurred since the earlier sample.
    """

    name: str
    type: str
    state: str
    connections: int
    messages: float | None
    received: float | None
    sent: float | None
    errors: float | None
    new_errors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SocketQueue:
    """A socket.

    Attributes:
        name: escaped; "-> NAME" for a client's end, which has none of its own; "" for neither.
        queue: of a listener, the clients that wait; of others, the bytes to be read.
        limit: of a listener, the limit of `queue`; None for others.
        change: of `queue`, since the earlier sample; None where the socket is new.
    """

    inode: int
    name: str
    type: str
    queue: int
    limit: int | None
    change: int | None


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the host.

    Attributes:
        seconds: between the two samples; None for the first one.
        daemon: one line about it, or "".
        problem: why it does not answer, or "".
    """

    seconds: float | None
    daemon: str
    problem: str
    endpoints: list[EndpointRates]
    sockets: list[SocketQueue]

    def chosen(self, sort: str, text: str, *, every: bool) -> "Frame":
        """Return the frame with its rows sorted and filtered.

        Args:
            sort: one of `SORTS`.
            text: what a name, a type or a state has to contain; "" for any.
            every: also sockets with an empty queue.
        """
        wanted = text.lower()
        endpoints = [
            each
            for each in self.endpoints
            if wanted in f"{each.name} {each.type} {each.state}".lower()
        ]
        sockets = [
            each
            for each in self.sockets
            if (every or each.queue) and wanted in f"{each.name} {each.type}".lower()
        ]
        by_endpoint, by_socket = _ORDERS[sort]
        return Frame(
            self.seconds,
            self.daemon,
            self.problem,
            sorted(endpoints, key=by_endpoint),
            sorted(sockets, key=by_socket),
        )


_ORDERS: dict[str, tuple[Callable[[EndpointRates], Any], Callable[[SocketQueue], Any]]] = {
    "load": (
        lambda each: (-(each.messages or 0), each.name),
        lambda each: (-each.queue, each.name, each.inode),
    ),
    "trouble": (
        lambda each: (-(each.errors or 0), each.name),
        lambda each: (-(each.change or 0), -each.queue, each.name, each.inode),
    ),
    "name": (
        lambda each: each.name,
        lambda each: (not each.name, each.name.removeprefix("-> "), each.inode),
    ),
}


def frame(before: Sample | None, after: Sample) -> Frame:
    """Compare two samples."""
    seconds = after.seconds - before.seconds if before else None
    former = {row.name: row for row in _rows(before)} if before else {}
    endpoints = [_rates(former.get(row.name), row, seconds) for row in _rows(after)]
    queues = {each.inode: each.queue for each in before.sockets} if before else {}
    names = {each.inode: each.name for each in after.sockets}
    sockets = [_queue(each, names.get(each.peer), queues) for each in after.sockets]
    return Frame(seconds, _daemon(after.report), after.problem, endpoints, sockets)


def _rows(sample: Sample) -> Iterable["EndpointStatus"]:
    return sample.report.endpoints if sample.report else ()


def _rates(
    before: "EndpointStatus | None", after: "EndpointStatus", seconds: float | None
) -> EndpointRates:
    def rate(count: Callable[["EndpointStatus"], int]) -> float | None:
        # A counter that is smaller than before belongs to a daemon that was started anew.
        if before is None or not seconds or count(after) < count(before):
            return None
        return (count(after) - count(before)) / seconds

    old = before.errors if before else {}
    new_errors = {
        reason: count - old.get(reason, 0)
        for reason, count in after.errors.items()
        if before and count > old.get(reason, 0)
    }
    return EndpointRates(
        after.name,
        after.type,
        after.state,
        after.connections,
        rate(lambda row: row.messages_total),
        rate(lambda row: row.received_bytes_total),
        rate(lambda row: row.sent_bytes_total),
        rate(lambda row: sum(row.errors.values())),
        new_errors,
    )


def _queue(each: DiagSocket, peer: bytes | None, queues: dict[int, int]) -> SocketQueue:
    name = escape(each.name) if each.name else f"-> {escape(peer)}" if peer else ""
    listens = each.state == STATE_LISTEN and each.type != socket.SOCK_DGRAM
    before = queues.get(each.inode)
    return SocketQueue(
        each.inode,
        name,
        TYPE_NAMES.get(each.type, str(each.type)),
        each.queue,
        each.backlog if listens else None,
        None if before is None else each.queue - before,
    )


def _daemon(report: "StatusReport | None") -> str:
    if report is None:
        return ""
    info = report.daemon
    return f"localechod {info.version}, pid {info.pid}, user {info.user}"
