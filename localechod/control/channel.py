"""grpclib's channel, for a server that need not be localechod: the bytes that it sends are bounded.

The connection is made here. Given a path, asyncio reports success on a socket that a full backlog
left unconnected, and it knows no deadline.
"""

import asyncio
from typing import Any, cast

from grpclib.client import Channel
from grpclib.encoding.proto import ProtoCodec
from grpclib.exceptions import StreamTerminatedError
from grpclib.protocol import H2Protocol

from localechod.control.connect import READ_BYTES, REPLY_BYTES, connected
from localechod.control.decode import decoded
from localechod.localsocket.address import Address


class BoundedChannel(Channel):
    """A channel over a socket that `control.connect` has connected.

    `_create_connection` and `_protocol_factory` are the only private names of grpclib's client
    that this package relies on. test_control_events.py fails where grpclib no longer uses them.

    Args:
        address: the server's.
        seconds: how long connecting may take; None for LOOK_SECONDS.

    Attributes:
        received: bytes, of any frame, since the last reply or event.
        excessive: whether the server has sent more than a reply may have.
        foreign: whether it is another program.
    """

    def __init__(self, address: Address, seconds: float | None) -> None:
        super().__init__(codec=_Codec())
        self._address = address
        self._seconds = seconds
        self.received = 0
        self.excessive = False
        self.foreign = False

    def _protocol_factory(self) -> H2Protocol:
        return _Protocol(super()._protocol_factory(), self)

    async def _create_connection(self) -> H2Protocol:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_unix_connection(
            self._protocol_factory,
            # It blocks, and nothing else runs on this loop.
            sock=connected(self._address, self._seconds),
        )
        if protocol.connection.is_closing():
            # A daemon without descriptors may close at once; grpclib cannot handle that.
            raise StreamTerminatedError("Connection lost")
        return protocol


class _Codec(ProtoCodec):
    """Decodes messages of a bounded number of rows."""

    def decode(self, data: bytes, message_type: Any) -> Any:
        """See `decoded`."""
        return decoded(data, message_type)


class _Protocol(H2Protocol, asyncio.BufferedProtocol):
    """Detects a server that is not localechod, and one that sends too much.

    After a daemon's end it is worth trying again; with another program at its path it is not.

    It is a BufferedProtocol only so that little is read at a time: asyncio would read 256 KiB.
    """

    def __init__(self, made: H2Protocol, channel: BoundedChannel) -> None:
        super().__init__(made.handler, made.config, made.h2_config)
        self._channel = channel
        self._bytes = bytearray(READ_BYTES)
        self._first = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, which grpclib's connection removes when it closes."""
        self._transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def get_buffer(self, _sizehint: int) -> bytearray:
        """Return where to read to."""
        return self._bytes

    def buffer_updated(self, count: int) -> None:
        """Handle the bytes that were read."""
        self.data_received(bytes(self._bytes[:count]))

    def data_received(self, data: bytes) -> None:
        """Check the first frame's type, which is its fourth byte, then pass the bytes to HTTP/2.

        An HTTP/2 server begins with SETTINGS, type 4 (RFC 9113, 3.4). Without the check, h2 would
        wait for the rest of what it takes for a frame of megabytes.
        """
        self._first += data[: 4 - len(self._first)]
        self._channel.foreign = len(self._first) == 4 and self._first[3] != 4
        self._channel.received += len(data)
        # The answers to PING and SETTINGS remain here if the server does not read them.
        kept = self._channel.received + self._transport.get_write_buffer_size()
        self._channel.excessive = kept > REPLY_BYTES
        if self._channel.foreign or self._channel.excessive:
            self.processor.close()
            return
        try:
            super().data_received(data)
        except (ValueError, NotImplementedError):  # of a header, and of an event such as a push
            self._channel.foreign = True
            self.processor.close()
