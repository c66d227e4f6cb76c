"""The client of the event stream, which `localechoctl events` and `wait` read.

It is grpclib's channel with one difference: the connection is made here. Given a path, asyncio
reports success on a socket that a full backlog left unconnected, and it knows no deadline.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from grpclib.client import Channel, ServiceMethod, Stream
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.protocol import H2Protocol
from h2.exceptions import StreamClosedError

from localechod.control.client import report
from localechod.control.connect import (
    LOOK_SECONDS,
    connected,
    connection_lost,
    no_reply,
    not_localechod,
)
from localechod.control.convert import from_wire
from localechod.control.messages import ReceivedEvent, StatusReport
from localechod.control.wire import control_pb2 as pb
from localechod.control.wire.control_grpc import ControlStub
from localechod.control.wire_errors import error_of
from localechod.echo.status import Event
from localechod.errors import LocalechodError
from localechod.localsocket.address import Address

Q = TypeVar("Q")
A = TypeVar("A")


class EventClient:
    """One connection to the daemon, made with the first call; to be used as a context.

    Every call raises DaemonNotRunningError, NotPermittedError, ConnectionLostError, and any error
    that the daemon raised, with its text, hint and exit status.

    Args:
        path: the control socket: an absolute path, or "@name".

    Raises:
        UsageError: the path cannot be a socket's address.
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
        """Return the daemon and all, or the named, endpoints.

        Over the same connection: `wait` asks while it is subscribed, and a user may have only 16
        connections, so that as many can wait at once.
        """
        request = pb.StatusRequest(names=names)
        async with self._call(self._stub.Status, request, LOOK_SECONDS) as stream:
            reply = await stream.recv_message()
        if reply is None:
            raise self._lost()
        return report(reply)

    @asynccontextmanager
    async def events(
        self, *, follow: bool, recent: int
    ) -> AsyncIterator[AsyncIterator[ReceivedEvent]]:
        """Subscribe to events; within the context no event is missed.

        Args:
            follow: continue with new events; otherwise the iteration ends after the past ones.
            recent: how many past events to begin with.
        """
        request = pb.EventsRequest(follow=follow, recent=recent)
        async with self._call(self._stub.Events, request, None) as stream:
            await stream.recv_initial_metadata()
            received = _Received(stream)
            yield received
            if not received.ended:
                # The caller leaves a stream that has not ended.
                with suppress(StreamClosedError):
                    await stream.cancel()

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
            raise no_reply(self._address, seconds or 0.0) from None

    def _refusal(self, error: GRPCError, stream: Stream[Any, Any]) -> LocalechodError:
        return error_of(error.status, error.message, stream.trailing_metadata or {}, self._address)

    def _lost(self) -> LocalechodError:
        if self._channel.foreign:
            return not_localechod(self._address)
        return connection_lost(self._address)


class _Channel(Channel):
    """A channel over a socket that `control.connect` has connected.

    `_create_connection` and `_protocol_factory` are the only private names of grpclib's client
    that this package relies on. test_control_events.py fails where grpclib no longer uses them.
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
            self._protocol_factory,
            sock=connected(self._address),  # blocks, and nothing else runs on this loop
        )
        if protocol.connection.is_closing():
            # A daemon without descriptors may close at once; grpclib cannot handle that.
            raise StreamTerminatedError("Connection lost")
        return protocol


class _Protocol(H2Protocol):
    """Detects a server that does not begin with a SETTINGS frame, as HTTP/2 does (RFC 9113, 3.4).

    After a daemon's end it is worth trying again; with another program at its path it is not.
    """

    def __init__(self, made: H2Protocol, channel: _Channel) -> None:
        super().__init__(made.handler, made.config, made.h2_config)
        self._channel = channel
        self._first = b""

    def data_received(self, data: bytes) -> None:
        """Check the first frame's type, which is its fourth byte, then pass the bytes to HTTP/2.

        Without the check, h2 would wait for the rest of what it takes for a frame of megabytes.
        """
        self._first += data[: 4 - len(self._first)]
        if len(self._first) == 4 and self._first[3] != 4:
            self._channel.foreign = True
            self.processor.close()
        else:
            super().data_received(data)


class _Received(AsyncIterator[ReceivedEvent]):
    """The events that a stream brings, and whether the daemon has ended it."""

    def __init__(self, stream: Stream[pb.EventsRequest, pb.Event]) -> None:
        self._stream = stream
        self.ended = False

    async def __anext__(self) -> ReceivedEvent:
        message = await self._stream.recv_message()
        if message is None:
            self.ended = True
            raise StopAsyncIteration
        return ReceivedEvent(from_wire(message, Event), message.dropped)
