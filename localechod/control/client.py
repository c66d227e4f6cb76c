"""One question to the daemon and its answer, without an event loop: what `status` needs.

asyncio and grpclib's client take longer to import than all the rest of `localechoctl status` and
the call together, and scripts ask again and again. So this one unary call is made here, with h2,
the HTTP/2 below grpclib, on a blocking socket with a deadline. Whatever changes something or goes
on for a while is the business of `control.client`. gRPC over HTTP/2:
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

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
from localechod.control.convert import from_wire
from localechod.control.messages import About, StatusReport
from localechod.control.wire import control_pb2 as pb
from localechod.echo.status import EndpointStatus
from localechod.errors import LocalechodError
from localechod.localsocket.address import Address

_HEAD = struct.Struct(">BI")  # whether compressed, length: before each message
_CHUNK = 1 << 16
_STREAM = 1  # the first one that a client opens


def status(path: str, names: Sequence[str] = ()) -> StatusReport:
    """Return the daemon and all, or the named, endpoints.

    Args:
        path: the control socket: an absolute path, or "@name".
        names: endpoints; none for all.

    Raises:
        DaemonNotRunningError: nobody listens there.
        ConnectionLostError: it ended before the answer.
        LocalechodError: what the daemon answered instead, or nothing in time.
    """
    address = Address.parse(path)
    with connect.connected(address) as sock:
        call = _Call(sock, address, connect.LOOK_SECONDS)
        data = call.answer("Status", pb.StatusRequest(names=names).SerializeToString())
    reply = pb.StatusReply.FromString(data)
    rows = [from_wire(row, EndpointStatus) for row in reply.endpoints]
    return StatusReport(from_wire(reply.daemon, About), rows)


class _Call:
    """A unary call on a connection of its own.

    Args:
        sock: connected and blocking.
        address: whom it is connected to, for errors.
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
        self._data = b""
        self._headers: dict[str, str] = {}
        self._ended = False

    def answer(self, method: str, request: bytes) -> bytes:
        """Send a request and return the message that answers it.

        Raises:
            LocalechodError: see `status`.
        """
        try:
            self._ask(method, request)
            while not self._ended:
                self._receive()
        except TimeoutError:
            raise connect.late(self._address, self._seconds) from None
        except (ConnectionError, ProtocolError):
            raise connect.lost(self._address) from None
        code = self._headers.get("grpc-status", "")
        if code != "0":
            raise self._refusal(code)
        return self._data[_HEAD.size :]

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
        """Send as much of the request as the other side takes now, and what h2 has to say."""
        while self._unsent:
            room = min(
                self._h2.local_flow_control_window(_STREAM), self._h2.max_outbound_frame_size
            )
            if room <= 0:
                break
            part, self._unsent = self._unsent[:room], self._unsent[room:]
            self._h2.send_data(_STREAM, part, end_stream=not self._unsent)
        self._in_time()
        self._sock.sendall(self._h2.data_to_send())

    def _receive(self) -> None:
        self._in_time()
        data = self._sock.recv(_CHUNK)
        if not data:
            raise connect.lost(self._address)
        self._head += data[: 4 - len(self._head)]
        # A server begins with a SETTINGS frame, type 4 (RFC 9113, 3.4); others are no HTTP/2.
        if len(self._head) == 4 and self._head[3] != 4:
            raise connect.foreign(self._address)
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
            # After the answer a reset only says that the rest of a request is not wanted.
            raise connect.lost(self._address)

    def _in_time(self) -> None:
        """Let the next call on the socket take no longer than what is left."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)

    def _refusal(self, code: str) -> LocalechodError:
        # Only a refusal is written in grpclib's terms, and an answer does without loading it.
        from grpclib.const import Status  # noqa: PLC0415 - see above
        from grpclib.metadata import decode_grpc_message, decode_metadata  # noqa: PLC0415

        from localechod.control.wire_errors import error_of  # noqa: PLC0415

        known = {str(each.value): each for each in Status}
        text = decode_grpc_message(self._headers.get("grpc-message", ""))
        return error_of(
            known.get(code, Status.UNKNOWN), text, decode_metadata(list(self._headers.items()))
        )


def _text(headers: Any) -> dict[str, str]:
    """Return headers as text, which they are as `header_encoding` says so."""
    return {str(key): str(value) for key, value in headers or ()}
