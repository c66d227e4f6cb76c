"""One gRPC call on a blocking socket with a deadline, without an event loop.

asyncio and grpclib's client take longer to import than the rest of `localechoctl status` and the
call together, and scripts run such commands again and again. A call that ends by itself is
therefore made with h2, the HTTP/2 library below grpclib. gRPC over HTTP/2:
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import socket
import struct
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from localechod.control import connect
from localechod.control.decode import TooLongError, decoded
from localechod.errors import LocalechodError
from localechod.localsocket.address import Address

if TYPE_CHECKING:
    from google.protobuf.message import Message

R = TypeVar("R", bound="Message")

_HEAD = struct.Struct(">BI")  # whether compressed, length: before each message
_STREAM = 1  # the first one that a client opens


def unary(address: Address, method: str, request: "Message", reply: type[R], seconds: float) -> R:
    """Connect, make one call of localechod.v1.Control, and return its reply.

    Args:
        address: the control socket.
        method: the method's name, such as "Status".
        request: its argument.
        reply: the type of the message that answers it.
        seconds: how long the call may take once connected.

    Raises:
        DaemonNotRunningError: nothing listens at the address.
        ConnectionLostError: the connection ended before the reply.
        LocalechodError: the error that the daemon replied, or no reply in time.
    """
    replies = list(islice(streamed(address, method, request, reply, seconds), 2))
    if len(replies) != 1:
        raise connect.not_localechod(address)
    return replies[0]


def streamed(
    address: Address, method: str, request: "Message", reply: type[R], seconds: float
) -> Iterator[R]:
    """Connect, make one call whose replies end by themselves, and yield them when all have come.

    The number of replies is bounded by connect.REPLY_BYTES only: the caller stops where there are
    more than it has asked for. Arguments and errors are those of `unary`.
    """
    with connect.connected(address) as sock:
        call = _Call(sock, address, seconds)
        data = call.answer(method, request.SerializeToString())
    try:
        for message in _messages(data):
            yield decoded(message, reply)
    except TooLongError:
        raise connect.too_long(address) from None
    except ValueError:
        raise connect.not_localechod(address) from None


def _messages(data: bytes) -> Iterator[bytes]:
    """Yield the messages in the data of a call.

    Raises:
        ValueError: one is compressed, or ends early.
    """
    at = 0
    while at < len(data):
        head = data[at : at + _HEAD.size]
        size = int.from_bytes(head[1:])
        at += _HEAD.size + size
        if head != _HEAD.pack(0, size) or at > len(data):
            raise ValueError("a message that is compressed or incomplete")
        yield data[at - size : at]


class _Call:
    """The one call of a connection.

    Args:
        sock: connected and blocking.
        address: the peer's, for errors.
        seconds: how long the call may take.
    """

    def __init__(self, sock: socket.socket, address: Address, seconds: float) -> None:
        self._sock = sock
        self._address = address
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._head = b""  # the first bytes that came
        self._unsent = b""
        self._data = bytearray()
        self._received = 0  # bytes of any frame
        self._headers: dict[str, str] = {}
        self._ended = False

    def answer(self, method: str, request: bytes) -> bytes:
        """Send a request and return the replies, each after its length.

        Raises:
            LocalechodError: as `unary` says.
        """
        try:
            self._ask(method, request)
            while not self._ended:
                self._receive()
        except TimeoutError:
            raise connect.no_reply(self._address, self._seconds) from None
        except (ConnectionError, ProtocolError):
            raise connect.connection_lost(self._address) from None
        except UnicodeDecodeError:  # a header
            raise connect.not_localechod(self._address) from None
        code = self._headers.get("grpc-status", "")
        if code != "0":
            raise self._refusal(code)
        return bytes(self._data)

    def _ask(self, method: str, request: bytes) -> None:
        self._h2.initiate_connection()
        self._h2.send_headers(
            _STREAM,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", f"/localechod.v1.Control/{method}"),
                (":authority", "localhost"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("grpc-timeout", f"{self._seconds * 1000:.0f}m"),
            ],
        )
        self._unsent = _HEAD.pack(0, len(request)) + request
        self._send()

    def _send(self) -> None:
        """Send as much of the request as flow control allows, and the frames that h2 has ready."""
        while self._unsent:
            allowed = min(
                self._h2.local_flow_control_window(_STREAM), self._h2.max_outbound_frame_size
            )
            if allowed <= 0:
                break
            part, self._unsent = self._unsent[:allowed], self._unsent[allowed:]
            self._h2.send_data(_STREAM, part, end_stream=not self._unsent)
        self._in_time()
        self._sock.sendall(self._h2.data_to_send())

    def _receive(self) -> None:
        self._in_time()
        data = self._sock.recv(connect.READ_BYTES)
        if not data:
            raise connect.connection_lost(self._address)
        self._received += len(data)
        if self._received > connect.REPLY_BYTES:
            raise connect.too_long(self._address)
        self._head += data[: 4 - len(self._head)]
        # An HTTP/2 server begins with a SETTINGS frame, type 4 (RFC 9113, 3.4).
        if len(self._head) == 4 and self._head[3] != 4:
            raise connect.not_localechod(self._address)
        for event in self._h2.receive_data(data):
            self._take(event)
        if not self._ended:
            self._send()

    def _take(self, event: Event) -> None:
        if isinstance(event, ResponseReceived | TrailersReceived):
            self._headers |= _text(event.headers)
        elif isinstance(event, DataReceived):
            self._data += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, _STREAM)
        elif isinstance(event, StreamEnded):
            self._ended = True
        elif isinstance(event, StreamReset | ConnectionTerminated) and not self._ended:
            # A reset after the reply only says that the rest of the request is not wanted.
            raise connect.connection_lost(self._address)

    def _in_time(self) -> None:
        """Limit the next operation on the socket to the time that is left.

        Raises:
            TimeoutError: the deadline has passed.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)

    def _refusal(self, code: str) -> LocalechodError:
        # grpclib is loaded for an error only: a reply does not need it.
        from grpclib.const import Status  # noqa: PLC0415 - see above
        from grpclib.metadata import decode_grpc_message, decode_metadata  # noqa: PLC0415

        from localechod.control.wire_errors import error_of  # noqa: PLC0415

        known = {str(each.value): each for each in Status}
        text = decode_grpc_message(self._headers.get("grpc-message", ""))
        try:
            metadata = decode_metadata(list(self._headers.items()))
        except ValueError:  # not in base64
            return connect.not_localechod(self._address)
        if code not in known:
            return connect.not_localechod(self._address)
        return error_of(known[code], text, metadata, self._address)


def _text(headers: Any) -> dict[str, str]:
    """Return headers as text; they are text already, because of `header_encoding`."""
    return {str(key): str(value) for key, value in headers or ()}
