"""The methods of localechod.v1.Control, passed on to the daemon.

A call has been authorized before it comes here (interceptor.py). What remains is to leave out the
rows and events that a non-administrator may not see.
"""

# ruff: noqa: N802 - methods of a service bear the names they have on the wire

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Protocol, TypeVar

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from localechod.control.caller import current
from localechod.control.convert import to_wire
from localechod.control.event_history import EventHistory
from localechod.control.messages import ControlStatus, DaemonInfo, ReloadReport
from localechod.control.slices import sliced
from localechod.control.turns import Turns
from localechod.control.wire import control_pb2 as pb
from localechod.control.wire.control_grpc import ControlBase
from localechod.echo.events import Event, EventBus
from localechod.echo.peer_log import PeerLog
from localechod.echo.status import EndpointStatus, PeerRow
from localechod.localsocket.peer import pid_namespace

logger = logging.getLogger(__name__)

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")


class Supervisor(Protocol):
    """The part of the data plane that the control plane calls; changes raise LocalechodError."""

    @property
    def events(self) -> EventBus:
        """The bus of all events."""
        ...

    @property
    def peer_log(self) -> PeerLog:
        """Where log lines go that a peer can cause."""
        ...

    def status(self, names: Collection[str] = ()) -> list[EndpointStatus]:
        """Return all, or the named, endpoints; raise UnknownEndpointError."""
        ...

    def each_status(self, names: Collection[str] = ()) -> Iterator[EndpointStatus]:
        """Return the same one by one."""
        ...

    def states(self) -> dict[str, str]:
        """Return the state of each endpoint by name."""
        ...

    def peers(self, name: str | None, uid: int | None) -> Iterator[PeerRow]:
        """Return the peers of one or of all endpoints, and of one or of all users."""
        ...

    def start(self, name: str) -> None:
        """Bind an endpoint and listen on it."""
        ...

    def stop(self, name: str) -> None:
        """Close an endpoint's listener and its connections."""
        ...

    def restart(self, name: str) -> None:
        """Stop an endpoint and start it."""
        ...


class Daemon(Protocol):
    """The part of the daemon that the control plane calls."""

    @property
    def supervisor(self) -> Supervisor:
        """The endpoints."""
        ...

    def info(self) -> DaemonInfo:
        """Return the description of the daemon process."""
        ...

    async def reload(self) -> ReloadReport:
        """Read and apply the configuration; raise ConfigError, with nothing changed, if invalid."""
        ...

    def config_text(self) -> str:
        """Return the effective configuration as TOML."""
        ...


class ControlService(ControlBase):
    """Answers the calls.

    Args:
        daemon: the daemon that they read and change.
        control: returns the state of the control socket.
        history: past and new events.
        turns: where a long answer waits after each slice.
    """

    def __init__(
        self,
        daemon: Daemon,
        control: Callable[[], ControlStatus],
        history: EventHistory,
        turns: Turns,
    ) -> None:
        self._daemon = daemon
        self._control = control
        self._history = history
        self._turns = turns
        self._reloads: set[asyncio.Task[ReloadReport]] = set()

    async def Status(self, stream: Stream[pb.StatusRequest, pb.StatusReply]) -> None:
        """Return the daemon and all, or the named, endpoints."""
        request = await _request(stream)
        # Each name once: a request of 64 KiB has space for the same name ten thousand times.
        rows = self._daemon.supervisor.each_status(list(dict.fromkeys(request.names)))
        reply = pb.StatusReply(
            daemon=to_wire(self._daemon.info(), pb.Daemon),
            control=to_wire(self._control(), pb.ControlSocket),
        )
        async for row in self._sliced(rows):
            reply.endpoints.append(to_wire(row, pb.Endpoint))
        await stream.send_message(reply)

    async def Start(self, stream: Stream[pb.EndpointRequest, pb.EndpointReply]) -> None:
        """Start an endpoint."""
        await self._change(stream, self._daemon.supervisor.start)

    async def Stop(self, stream: Stream[pb.EndpointRequest, pb.EndpointReply]) -> None:
        """Stop an endpoint."""
        await self._change(stream, self._daemon.supervisor.stop)

    async def Restart(self, stream: Stream[pb.EndpointRequest, pb.EndpointReply]) -> None:
        """Restart an endpoint."""
        await self._change(stream, self._daemon.supervisor.restart)

    async def Reload(self, stream: Stream[pb.ReloadRequest, pb.ReloadReply]) -> None:
        """Reload the configuration, completely even if the caller disconnects."""
        await _request(stream)
        task = asyncio.ensure_future(self._daemon.reload())
        self._reloads.add(task)
        task.add_done_callback(self._ended)
        report = await asyncio.shield(task)
        await stream.send_message(to_wire(report, pb.ReloadReply))

    async def Peers(self, stream: Stream[pb.PeersRequest, pb.PeersReply]) -> None:
        """Return the connected peers: all to an administrator, else those of the caller's uid."""
        request = await _request(stream)
        caller = current()
        uid = None if caller.admin else caller.credentials.uid
        reply = pb.PeersReply(pid_namespace=pid_namespace())
        async for row in self._sliced(self._daemon.supervisor.peers(request.endpoint or None, uid)):
            reply.peers.append(to_wire(row, pb.Peer))
        await stream.send_message(reply)

    async def Events(self, stream: Stream[pb.EventsRequest, pb.Event]) -> None:
        """Send past events, then new ones until the caller or the daemon ends the stream."""
        request = await _request(stream)
        past, subscription = self._history.watch(request.recent)
        try:
            # It tells the caller that no later event will be missed. A caller that wants to see
            # the events of its next call waits for it first.
            await stream.send_initial_metadata()
            async for event in self._sliced(filter(_visible, past)):
                await stream.send_message(to_wire(event, pb.Event))
            if not request.follow:
                return
            async for event in subscription:
                if _visible(event):
                    message = to_wire(event, pb.Event)
                    message.dropped, subscription.dropped = subscription.dropped, 0
                    await stream.send_message(message)
                    await asyncio.sleep(0)  # many may be queued, and sending need not wait
        finally:
            subscription.close()

    async def Config(self, stream: Stream[pb.ConfigRequest, pb.ConfigReply]) -> None:
        """Return the effective configuration."""
        await _request(stream)
        await stream.send_message(pb.ConfigReply(toml=self._daemon.config_text()))

    def _sliced(self, items: Iterable[T]) -> AsyncIterator[T]:
        """Yield the items; after each slice of them the caller waits for their turn."""
        return sliced(items, partial(self._turns.wait, current().credentials.uid))

    async def _change(
        self,
        stream: Stream[pb.EndpointRequest, pb.EndpointReply],
        change: Callable[[str], None],
    ) -> None:
        name = (await _request(stream)).name
        change(name)
        (row,) = self._daemon.supervisor.status([name])
        await stream.send_message(pb.EndpointReply(endpoint=to_wire(row, pb.Endpoint)))

    def _ended(self, task: "asyncio.Task[ReloadReport]") -> None:
        self._reloads.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            logger.warning(f"reload failed: {error}")


async def _request(stream: Stream[Q, A]) -> Q:
    request = await stream.recv_message()
    if request is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "the call came without a request")
    return request


def _visible(event: Event) -> bool:
    caller = current()
    return caller.admin or event.uid is None or event.uid == caller.credentials.uid
