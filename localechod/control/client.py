"""The client of the control socket: a method for each call, each on a connection of its own.

It blocks and needs no event loop (`control.call`). Only the stream of new events is left to grpclib
(`control.events`).
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from localechod.control.call import streamed, unary
from localechod.control.connect import LOOK_SECONDS, not_localechod
from localechod.control.convert import from_wire
from localechod.control.messages import (
    ControlStatus,
    DaemonInfo,
    PeersReport,
    ReceivedEvent,
    ReloadReport,
    StatusReport,
)
from localechod.control.wire import control_pb2 as pb
from localechod.echo.status import EndpointStatus, Event, PeerRow
from localechod.localsocket.address import Address
from localechod.text import printable_lines

if TYPE_CHECKING:
    from google.protobuf.message import Message

A = TypeVar("A", bound="Message")
V = TypeVar("V")

# A change binds sockets, reads files, and waits for what it closes.
CHANGE_SECONDS = 60.0


class Client:
    """Calls the daemon.

    Every call raises DaemonNotRunningError, NotPermittedError, ConnectionLostError, and any error
    that the daemon raised, with its text, hint and exit status.

    Args:
        path: the control socket: an absolute path, or "@name".

    Raises:
        UsageError: the path cannot be a socket's address.
    """

    def __init__(self, path: str) -> None:
        self._address = Address.parse(path)

    def status(self, names: Sequence[str] = ()) -> StatusReport:
        """Return the daemon and all, or the named, endpoints."""
        request = pb.StatusRequest(names=names)
        return self._call("Status", request, pb.StatusReply, report, LOOK_SECONDS)

    def start(self, name: str) -> EndpointStatus:
        """Start an endpoint and return its status after the change."""
        return self._change("Start", name)

    def stop(self, name: str) -> EndpointStatus:
        """Stop an endpoint and return its status after the change."""
        return self._change("Stop", name)

    def restart(self, name: str) -> EndpointStatus:
        """Restart an endpoint and return its status after the change."""
        return self._change("Restart", name)

    def reload(self) -> ReloadReport:
        """Have the configuration read again; return once it is applied."""

        def read(reply: pb.ReloadReply) -> ReloadReport:
            return from_wire(reply, ReloadReport)

        return self._call("Reload", pb.ReloadRequest(), pb.ReloadReply, read, CHANGE_SECONDS)

    def peers(self, endpoint: str | None = None) -> PeersReport:
        """Return the peers of one or of all endpoints, as far as the caller may see them."""

        def read(reply: pb.PeersReply) -> PeersReport:
            rows = [from_wire(row, PeerRow) for row in reply.peers]
            return PeersReport(rows, reply.pid_namespace)

        request = pb.PeersRequest(endpoint=endpoint or "")
        return self._call("Peers", request, pb.PeersReply, read, LOOK_SECONDS)

    def events(self, recent: int) -> list[ReceivedEvent]:
        """Return the newest `recent` past events that the caller may see, oldest first."""
        request = pb.EventsRequest(follow=False, recent=recent)
        sent = streamed(self._address, "Events", request, pb.Event, LOOK_SECONDS)
        replies = list(islice(sent, recent + 1))
        if len(replies) > recent:
            raise not_localechod(self._address)
        try:
            return [ReceivedEvent(from_wire(one, Event), one.dropped) for one in replies]
        except ValueError:
            raise not_localechod(self._address) from None

    def config(self) -> str:
        """Return the effective configuration as TOML."""

        def read(reply: pb.ConfigReply) -> str:
            return printable_lines(reply.toml)

        return self._call("Config", pb.ConfigRequest(), pb.ConfigReply, read, LOOK_SECONDS)

    def _change(self, method: str, name: str) -> EndpointStatus:
        def read(reply: pb.EndpointReply) -> EndpointStatus:
            return from_wire(reply.endpoint, EndpointStatus)

        request = pb.EndpointRequest(name=name)
        return self._call(method, request, pb.EndpointReply, read, CHANGE_SECONDS)

    def _call(
        self,
        method: str,
        request: "Message",
        kind: type[A],
        read: Callable[[A], V],
        seconds: float,
    ) -> V:
        reply = unary(self._address, method, request, kind, seconds)
        try:
            return read(reply)
        except ValueError:
            raise not_localechod(self._address) from None


def report(reply: pb.StatusReply) -> StatusReport:
    """Return the values of a reply to Status."""
    rows = [from_wire(row, EndpointStatus) for row in reply.endpoints]
    control = from_wire(reply.control, ControlStatus)
    return StatusReport(from_wire(reply.daemon, DaemonInfo), control, rows)
