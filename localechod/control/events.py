"""The client of the control socket, for localechoctl.

grpclib's channel, with one difference: the connection is made here. By path, asyncio reports
success on a socket that a full backlog left unconnected, and knows no deadline.

For asyncio's own loop: uvloop closes the descriptor of a connected socket it is given a second
time, if the peer hangs up at the wrong moment, and by then it may be another one's.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from grpclib.client import Channel, ServiceMethod, Stream
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.protocol import H2Protocol
from h2.exceptions import StreamClosedError

from localechod.control.connect import (
    LOOK_SECONDS,
    ConnectionLostError,
    connected,
    foreign,
    late,
    lost,
)
from localechod.control.convert import from_wire
from localechod.control.messages import About, Notice, PeersReport, ReloadReport, StatusReport
from localechod.control.wire import control_pb2 as pb
from localechod.control.wire.control_grpc import ControlStub
from localechod.control.wire_errors import error_of
from localechod.echo.status import EndpointStatus, Event, PeerRow
from localechod.errors import LocalechodError
from localechod.localsocket.address import Address
from localechod.text import printable, printable_lines

# A change binds sockets, reads files, waits for what it closes.
CHANGE_SECONDS = 60.0

Q = TypeVar("Q")
A = TypeVar("A")


class ControlClient:
    """One connection to the daemon, made with the first call; to be used as a context.

    Every call raises DaemonNotRunningError, NotPermittedError, ConnectionLostError, and whatever
    error the daemon raised, with its text, hint and exit status.

    Args:
        path: the control socket: an absolute path, or "@name".
    """

    def __init__(self, path: str) -> None:
        self._address = Address.parse(path)
        self._channel = _Channel(self._address)
        self._stub = ControlStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()

    async def status(self, names: Sequence[str] = ()) -> StatusReport:
        """Return the daemon and all, or the named, endpoints."""
        reply = await self._ask(self._stub.Status, pb.StatusRequest(names=names), LOOK_SECONDS)
        rows = [from_wire(row, EndpointStatus) for row in reply.endpoints]
        return StatusReport(from_wire(reply.daemon, About), rows)

    async def start(self, name: str) -> EndpointStatus:
        """Start an endpoint and return what became of it."""
        return await self._change(self._stub.Start, name)

    async def stop(self, name: str) -> EndpointStatus:
        """Stop an endpoint and return what became of it."""
        return await self._change(self._stub.Stop, name)

    async def restart(self, name: str) -> EndpointStatus:
        """Restart an endpoint and return what became of it."""
        return await self._change(self._stub.Restart, name)

    async def reload(self) -> ReloadReport:
        """Have the configuration read again; returns when it is applied."""
        reply = await self._ask(self._stub.Reload, pb.ReloadRequest(), CHANGE_SECONDS)
        return from_wire(reply, ReloadReport)

    async def peers(self, endpoint: str | None = None) -> PeersReport:
        """Return who is connected to one or to all endpoints, as far as the caller may know."""
        request = pb.PeersRequest(endpoint=endpoint or "")
        reply = await self._ask(self._stub.Peers, request, LOOK_SECONDS)
        rows = [from_wire(row, PeerRow) for row in reply.peers]
        return PeersReport(rows, reply.pid_namespace)

    async def config(self) -> str:
        """Return the effective configuration as TOML."""
        reply = await self._ask(self._stub.Config, pb.ConfigRequest(), LOOK_SECONDS)
        return printable_lines(reply.toml)

    @asynccontextmanager
    async def events(self, *, follow: bool, recent: int) -> AsyncIterator[AsyncIterator[Notice]]:
        """Subscribe to events; within the context, nothing that happens is missed.

        Args:
            follow: go on with what happens; otherwise the iteration ends after the past.
            recent: how many past events to begin with.
        """
        request = pb.EventsRequest(follow=follow, recent=recent)
        async with self._call(self._stub.Events, request, None) as stream:
            await stream.recv_initial_metadata()
            notices = _Notices(stream)
            yield notices
            if not notices.ended:
                # The caller has seen enough of a stream that need not have an end.
                with suppress(StreamClosedError):
                    await stream.cancel()

    async def _change(
        self, method: ServiceMethod[pb.EndpointRequest, pb.EndpointReply], name: str
    ) -> EndpointStatus:
        reply = await self._ask(method, pb.EndpointRequest(name=name), CHANGE_SECONDS)
        return from_wire(reply.endpoint, EndpointStatus)

    async def _ask(self, method: ServiceMethod[Q, A], request: Q, seconds: float) -> A:
        async with self._call(method, request, seconds) as stream:
            reply = await stream.recv_message()
        if reply is None:
            raise self._lost()
        return reply

    @asynccontextmanager
    async def _call(
        self, method: ServiceMethod[Q, A], request: Q, seconds: float | None
    ) -> AsyncIterator[Stream[Q, A]]:
        stream = method.open(timeout=seconds)
        try:
            async with stream:
                await stream.send_message(request, end=True)
                yield stream
        except GRPCError as error:
            raise self._refusal(error, stream) from None
        except StreamTerminatedError:
            raise self._lost() from None
        except TimeoutError:
            raise late(self._address, seconds or 0.0) from None

    def _refusal(self, error: GRPCError, stream: Stream[Any, Any]) -> LocalechodError:
        if error.status is Status.UNAVAILABLE:
            cause = printable(error.message or error.status.name)
            return ConnectionLostError(f"control call failed: {cause}: {self._address}")
        return error_of(error.status, error.message, stream.trailing_metadata or {})

    def _lost(self) -> LocalechodError:
        return foreign(self._address) if self._channel.foreign else lost(self._address)


class _Channel(Channel):
    """A channel over a socket that is connected by our own rules.

    `_create_connection` and `_protocol_factory` are the private names of grpclib's client that
    this package relies on; every test of the client fails without them.
    """

    def __init__(self, address: Address) -> None:
        super().__init__()
        self._address = address
        self.foreign = False

    def _protocol_factory(self) -> H2Protocol:
        return _Protocol(super()._protocol_factory(), self)

    async def _create_connection(self) -> H2Protocol:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_unix_connection(
            # Nothing else runs on this loop that the wait could hold up.
            self._protocol_factory,
            sock=connected(self._address),
        )
        if protocol.connection.is_closing():
            # A daemon without descriptors may close at once; grpclib would stumble over that.
            raise StreamTerminatedError("Connection lost")
        return protocol


class _Protocol(H2Protocol):
    """Notices a server that does not begin as HTTP/2 does, with a SETTINGS frame (RFC 9113, 3.4).

    A daemon that ends is worth waiting for. Another program at its place is not.
    """

    def __init__(self, made: H2Protocol, channel: _Channel) -> None:
        super().__init__(made.handler, made.config, made.h2_config)
        self._channel = channel
        self._first = b""

    def data_received(self, data: bytes) -> None:
        """Look at the first frame's type, its fourth byte; then let HTTP/2 have it.

        Left to itself, h2 would wait for the rest of what it takes for a frame of megabytes.
        """
        self._first += data[: 4 - len(self._first)]
        if len(self._first) == 4 and self._first[3] != 4:
            self._channel.foreign = True
            self.processor.close()
        else:
            super().data_received(data)


class _Notices(AsyncIterator[Notice]):
    """What comes over a stream of events, and whether the daemon has ended it."""

    def __init__(self, stream: Stream[pb.EventsRequest, pb.Event]) -> None:
        self._stream = stream
        self.ended = False

    async def __anext__(self) -> Notice:
        message = await self._stream.recv_message()
        if message is None:
            self.ended = True
            raise StopAsyncIteration
        return Notice(from_wire(message, Event), message.dropped)
