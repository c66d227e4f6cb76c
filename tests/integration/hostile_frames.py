"""Frames of HTTP/2, messages of gRPC, and a server that takes one call, for `hostile`."""

import socket
import struct

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamReset

from tests.attacks.frames import frame

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH = 0, 1, 3, 4, 5
PING, GOAWAY, WINDOW, CONTINUATION = 6, 7, 8, 9
HELLO = frame(SETTINGS)
# :status 200 and content-type application/grpc (RFC 7541), which begin a reply.
BEGUN = HELLO + frame(HEADERS, 4, 1, b"\x88\x0f\x10\x10application/grpc")


class Grpc:
    """A gRPC server's side of a connection, by h2; it keeps to flow control."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.initiate_connection()
        self.method = ""
        while not self.method:
            self.read()
        headers = [(":status", "200"), ("content-type", "application/grpc")]
        self.h2.send_headers(1, headers)

    def read(self) -> None:
        """Take what has come."""
        self.sock.sendall(self.h2.data_to_send())
        data = self.sock.recv(1 << 16)
        if not data:
            raise ConnectionError
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                path = next(value for name, value in event.headers or () if name == b":path")
                self.method = path.decode().rpartition("/")[2]
            elif isinstance(event, StreamReset):
                raise ConnectionError
        self.sock.sendall(self.h2.data_to_send())

    def write(self, data: bytes) -> None:
        """Send data, as far as the client's window allows at a time."""
        at = 0
        while at < len(data):
            size = min(self.h2.local_flow_control_window(1), self.h2.max_outbound_frame_size)
            if size <= 0:
                self.read()
                continue
            self.h2.send_data(1, data[at : at + size])
            at += size
            self.sock.sendall(self.h2.data_to_send())

    def end(self, *trailers: tuple[str, str]) -> None:
        """End the call with these trailers."""
        self.h2.send_headers(1, trailers, end_stream=True)
        self.sock.sendall(self.h2.data_to_send())
        while self.sock.recv(1 << 16):
            pass


def message(data: bytes) -> bytes:
    """Return a message with its gRPC head."""
    return struct.pack(">BI", 0, len(data)) + data


def field(number: int, data: bytes) -> bytes:
    """Return a protobuf field of bytes."""
    return bytes((number << 3 | 2, len(data))) + data
