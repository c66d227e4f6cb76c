"""The client of the stream of new events, which `localechoctl events --follow` and `wait` read.

It is grpclib's client on a channel of our own (`control.channel`).
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from grpclib.client import ServiceMethod, Stream
from grpclib.exceptions import GRPCError, StreamTerminatedError
from h2.exceptions import StreamClosedError

from localechod.control.channel import BoundedChannel
from localechod.control.client import report
from localechod.control.connect import (
    LOOK_SECONDS,
    connection_lost,
    no_reply,
    not_localechod,
    too_long,
)
from localechod.control.convert import from_wire
from localechod.control.decode import TooLongError
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
        seconds: how long connecting may take; by default LOOK_SECONDS.

    Raises:
        UsageError: the path cannot be a socket's address.
    """

    def __init__(self, path: str, seconds: float | None = None) -> None:
        self._address = Address.parse(path)
        self._channel = BoundedChannel(self._address, seconds)
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
        async with self._call(self._stub.Status, request) as stream:
            with self._reading():
                reply = await stream.recv_message()
                await stream.recv_trailing_metadata()
                if reply is None:
                    raise self._lost()
                return report(reply)

    @asynccontextmanager
    async def events(self, *, recent: int) -> AsyncIterator[AsyncIterator[ReceivedEvent]]:
        """Subscribe to events; within the context no event is missed.

        Args:
            recent: how many past events to begin with.
        """
        request = pb.EventsRequest(follow=True, recent=recent)
        async with self._call(self._stub.Events, request, endless=True) as stream:
            ended = False

            async def received() -> AsyncIterator[ReceivedEvent]:
                nonlocal ended
                while (one := await self._event(stream)) is not None:
                    yield one
                ended = True

            yield received()
            if not ended:
                # The caller leaves a stream that has not ended.
                with suppress(StreamClosedError):
                    await stream.cancel()

    async def _event(self, stream: Stream[pb.EventsRequest, pb.Event]) -> ReceivedEvent | None:
        """Return the next event, None at the end."""
        with self._reading():
            message = await stream.recv_message()
            if message is not None:
                return ReceivedEvent(from_wire(message, Event), message.dropped)
            async with asyncio.timeout(LOOK_SECONDS):
                await stream.recv_trailing_metadata()
        return None

    @asynccontextmanager
    async def _call(
        self, method: ServiceMethod[Q, A], request: Q, *, endless: bool = False
    ) -> AsyncIterator[Stream[Q, A]]:
        """Call a method, and have LOOK_SECONDS for all of it; an endless one has them to begin."""
        stream = method.open()
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancellations = task.cancelling()
        try:
            async with asyncio.timeout(LOOK_SECONDS) as limit, stream:
                await stream.send_message(request, end=True)
                with self._reading():
                    await stream.recv_initial_metadata()
                if endless:
                    limit.reschedule(None)
                yield stream
        except (GRPCError, StreamTerminatedError) as error:
            # grpclib cancels a task to wake it up. Left counted, that would hide the cancellation
            # by a timeout around this call.
            while task.cancelling() > cancellations:
                task.uncancel()
            raise self._error(error, stream) from None
        except TimeoutError:
            raise no_reply(self._address, LOOK_SECONDS) from None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Report what is no reply of localechod; after a reply, bytes are counted from 0.

        grpclib and protobuf raise these errors for a wrong length, encoding or compression.
        """
        try:
            yield
        except TooLongError:
            raise too_long(self._address) from None
        except (ValueError, AssertionError, NotImplementedError):
            raise not_localechod(self._address) from None
        self._channel.received = 0

    def _error(self, error: Exception, stream: Stream[Any, Any]) -> LocalechodError:
        if isinstance(error, GRPCError):
            sent: Any = stream.trailing_metadata or {}
            return error_of(error.status, error.message, sent, self._address)
        return self._lost()

    def _lost(self) -> LocalechodError:
        if self._channel.excessive:
            return too_long(self._address)
        if self._channel.foreign:
            return not_localechod(self._address)
        return connection_lost(self._address)
