"""A client's connection to the control socket, identified and counted when it is accepted."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.protocol import AbstractHandler, Buffer, H2Protocol, Stream

from localechod.control.caller import CREDENTIALS
from localechod.control.interceptor import Interceptor
from localechod.control.limits import REQUEST_BYTES
from localechod.localsocket.peer import Credentials, credentials

if TYPE_CHECKING:
    import socket

logger = logging.getLogger(__name__)


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


class CredentialsHandler(AbstractHandler):
    """Sets the caller's credentials before grpclib's own handler starts a task for a request.

    Args:
        inner: grpclib's handler of this connection.
    """

    def __init__(self, inner: AbstractHandler) -> None:
        self._inner = inner
        self.credentials: Credentials

    def accept(
        self,
        stream: Stream,
        headers: list[tuple[str, str]],
        release_stream: Callable[[], None],
    ) -> None:
        """Pass a request on, with the caller's credentials in its context (caller.CREDENTIALS)."""
        # The id is not None: the client has opened the stream.
        stream.buffer = BoundedBuffer(partial(stream.connection.ack, cast("int", stream.id)))
        token = CREDENTIALS.set(self.credentials)
        try:
            self._inner.accept(stream, headers, release_stream)
        finally:
            CREDENTIALS.reset(token)

    def cancel(self, stream: Stream) -> None:
        """Cancel the call of a stream that the client has reset."""
        self._inner.cancel(stream)

    def close(self) -> None:
        """Cancel every call of this connection."""
        self._inner.close()


class ControlConnection(H2Protocol):
    """grpclib's HTTP/2 connection, with the peer identified before its first byte is read."""

    def __init__(self, made: H2Protocol, interceptor: Interceptor) -> None:
        self._handler = CredentialsHandler(made.handler)
        self._interceptor = interceptor
        self.transport: asyncio.Transport
        super().__init__(self._handler, made.config, made.h2_config)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Identify and count the peer; close the connection at once if it is over a limit."""
        self.transport = cast("asyncio.Transport", transport)
        who = self._handler.credentials = peer_of(transport)
        excess = self._interceptor.limits.connect(who.uid)
        if excess:
            if self._interceptor.limits.should_report(who.uid):
                self._interceptor.refuse(who, "connection", excess)
            self._handler.close()
            self.transport.abort()
            return
        self._interceptor.connections[self.transport] = asyncio.get_running_loop().create_future()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass bytes to HTTP/2; close a connection whose bytes the library cannot handle.

        h2 and grpclib raise various errors for frames they do not know. An event loop would print
        a traceback for each, and anyone who can connect could fill the journal with tracebacks.
        """
        try:
            super().data_received(data)
        except Exception as error:  # noqa: BLE001 - see above: each has the same meaning
            who = self._handler.credentials
            logger.warning(f"control connection of uid {who.uid}, pid {who.pid} closed: {error!r}")
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
