"""A client's connection to the control socket, identified and counted when it is accepted."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import AbstractHandler, Buffer, H2Protocol, Stream
from h2.errors import ErrorCodes

from localechod.control.caller import CREDENTIALS
from localechod.control.interceptor import Interceptor
from localechod.control.limits import Excess
from localechod.echo.reasons import Reason
from localechod.limits import READ_BYTES, REQUEST_BYTES
from localechod.localsocket.peer import Credentials, credentials

if TYPE_CHECKING:
    import socket


class BoundedBuffer(Buffer):
    """Refuses a message whose length prefix is over the limit.

    grpclib would acknowledge and keep all data, up to the four gigabytes that the prefix can hold.
    HTTP/2's window limits only data that has not been asked for yet.
    """

    async def read(self, size: int) -> bytes:
        """Read `size` bytes.

        Raises:
            GRPCError: RESOURCE_EXHAUSTED, the message is longer than REQUEST_BYTES.
        """
        if size > REQUEST_BYTES:
            cause = f"a request of {size} bytes; at most {REQUEST_BYTES} are read"
            raise GRPCError(Status.RESOURCE_EXHAUSTED, cause)
        return await super().read(size)


# A request without one of these is malformed; RFC 9113, 8.3.1. h2 could look for them, but would
# also refuse a request without :authority, which gRPC allows.
_REQUIRED = frozenset({":method", ":scheme", ":path"})


class CredentialsHandler(AbstractHandler):
    """Sets the caller's credentials before grpclib's own handler starts a task for a request.

    Args:
        inner: grpclib's handler of this connection.
    """

    def __init__(self, inner: AbstractHandler) -> None:
        self._inner = inner
        self._releases: dict[Stream, Callable[[], None]] = {}
        self.credentials: Credentials

    def accept(
        self,
        stream: Stream,
        headers: list[tuple[str, str]],
        release_stream: Callable[[], None],
    ) -> None:
        """Pass a request on, with the caller's credentials in its context (caller.CREDENTIALS).

        A malformed one is reset: for a missing field grpclib would log a traceback, and not answer.
        """
        if not _REQUIRED.issubset(name for name, _ in headers):
            release_stream()
            if stream.closable:
                stream.reset_nowait(ErrorCodes.PROTOCOL_ERROR)
            return
        # A client ends a call at its own deadline. Here it would only add a traceback for each call
        # whose deadline has passed before it begins.
        headers = [field for field in headers if field[0] != "grpc-timeout"]
        # The id is not None: the client has opened the stream.
        stream.buffer = BoundedBuffer(partial(stream.connection.ack, cast("int", stream.id)))
        self._releases[stream] = release_stream
        token = CREDENTIALS.set(self.credentials)
        try:
            self._inner.accept(stream, headers, partial(self._release, stream))
        finally:
            CREDENTIALS.reset(token)

    def cancel(self, stream: Stream) -> None:
        """Cancel the call of a stream that the client has reset, and release the stream.

        grpclib's task releases it at its end, but not if it is cancelled before it has begun. Each
        HEADERS with RST_STREAM in one read would leave 4 KiB, for as long as the client stays.
        """
        self._inner.cancel(stream)
        self._release(stream)

    def _release(self, stream: Stream) -> None:
        release = self._releases.pop(stream, None)
        if release is not None:
            release()

    def close(self) -> None:
        """Cancel every call of this connection."""
        self._inner.close()


# Where the bytes of a read are, until they are handled: one thread, one read at a time.
_BYTES = bytearray(READ_BYTES)

# GOAWAY, RFC 9113, 6.8: of 8 bytes, on stream 0, any stream may have been handled,
# ENHANCE_YOUR_CALM.
_GO_AWAY = bytes.fromhex("000008 07 00 00000000 7fffffff 0000000b")


class _Known(dict[type, Any]):
    """What grpclib does for each event of h2; others, as of unknown frames, are ignored.

    RFC 9113, 4.1: "Implementations MUST ignore and discard frames of unknown types."
    """

    def __missing__(self, _kind: type) -> Callable[[Any], None]:
        return lambda _event: None


class ControlConnection(H2Protocol, asyncio.BufferedProtocol):
    """grpclib's HTTP/2 connection, with the peer identified before its first byte is read.

    It is a BufferedProtocol only so that little is read at a time: asyncio would read 256 KiB.
    """

    def __init__(self, made: H2Protocol, interceptor: Interceptor) -> None:
        self._handler = CredentialsHandler(made.handler)
        self._interceptor = interceptor
        self.transport: asyncio.Transport
        super().__init__(self._handler, made.config, made.h2_config)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Identify and count the peer; close the connection at once if it is over a limit.

        asyncio goes on with a connection for which this raises, for want of memory or descriptors:
        it would be in no table, and a stop would wait for it.
        """
        self.transport = cast("asyncio.Transport", transport)
        try:
            self._enter(transport)
        except Exception as error:  # noqa: BLE001 - see above
            self._abandon(error)

    def _enter(self, transport: asyncio.BaseTransport) -> None:
        who = self._handler.credentials = peer_of(transport)
        if excess := self._interceptor.limits.connect(who.uid):
            self._handler.close()
            self._refuse(excess)
            return
        self._interceptor.connections[self.transport] = asyncio.get_running_loop().create_future()
        super().connection_made(transport)
        self.processor.processors = _Known(self.processor.processors)

    def _refuse(self, excess: Excess) -> None:
        """Report why the connection is not served, and end it."""
        self._interceptor.refuse(self._handler.credentials, "connection", *excess)
        self.transport.abort()

    def _abandon(self, error: Exception) -> None:
        """Report a defect; close and forget the connection that it has left half made."""
        self.transport.abort()
        self._handler.close()
        lost = self._interceptor.connections.pop(self.transport, None)
        if lost is not None:
            self._interceptor.limits.disconnect(self._handler.credentials.uid)
            lost.set_result(None)
        self._interceptor.defect(error)

    def get_buffer(self, _sizehint: int) -> bytearray:
        """Return where to read to."""
        return _BYTES

    def buffer_updated(self, count: int) -> None:
        """Handle the bytes that were read, unless the user has sent too many."""
        who = self._handler.credentials
        excess = self._interceptor.limits.spend(who.uid, count, time.monotonic())
        if not excess:
            self.data_received(bytes(_BYTES[:count]))
            return
        self.transport.write(_GO_AWAY)
        self._refuse(excess)

    def data_received(self, data: bytes) -> None:
        """Pass bytes to HTTP/2; close a connection whose bytes the library cannot handle.

        h2 and grpclib raise various errors for invalid frames. An event loop would print a
        traceback for each, and anyone who can connect could fill the journal with tracebacks.
        grpclib's own method would hide a ProtocolError, which then would not be counted.
        """
        try:
            try:
                events = self.connection.feed(data)
            finally:
                self.connection.flush()  # of an error, GOAWAY: RFC 9113, 5.4.1
            for event in events:
                self.processor.process(event)
            self.connection.flush()
        except Exception as error:  # noqa: BLE001 - see above: each has the same meaning
            self._interceptor.refuse(
                self._handler.credentials, "connection", Reason.INVALID_HTTP2, repr(error)
            )
            self._handler.close()  # its calls could not be answered
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the peer, and cancel its calls."""
        lost = self._interceptor.connections.pop(self.transport, None)
        if lost is not None:
            self._interceptor.limits.disconnect(self._handler.credentials.uid)
            super().connection_lost(exc)
            lost.set_result(None)


def peer_of(transport: asyncio.BaseTransport) -> Credentials:
    """Return the credentials of a transport's peer."""
    return credentials(cast("socket.socket", transport.get_extra_info("socket")))
