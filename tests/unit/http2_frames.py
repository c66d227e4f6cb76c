"""Frames of HTTP/2 (RFC 9113), built and read by hand: also those that no library would send."""

from typing import NamedTuple

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32

# RFC 9113, 7.
ERRORS = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
)

Fields = dict[str, str]

REQUEST: Fields = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/localechod.v1.Control/Status",
    ":authority": "localhost",
    "te": "trailers",
    "content-type": "application/grpc",
}
EMPTY_MESSAGE = bytes(5)  # of gRPC: not compressed, of 0 bytes


class Frame(NamedTuple):
    """A frame as it was received."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def ends_stream(self) -> bool:
        """Whether nothing follows on its stream."""
        return self.kind in {DATA, HEADERS} and bool(self.flags & END_STREAM)

    @property
    def error(self) -> str:
        """The error that an RST_STREAM or a GOAWAY has."""
        start = 4 if self.kind == GOAWAY else 0
        return ERRORS[int.from_bytes(self.payload[start : start + 4], "big")]


def frame(kind: int, payload: bytes = b"", stream: int = 0, flags: int = 0) -> bytes:
    """Return a frame; `stream` may have the reserved bit."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def frames(received: bytes) -> list[Frame]:
    """Return the frames that have been received whole."""
    found = []
    while len(received) >= 9 and len(received) >= (end := 9 + int.from_bytes(received[:3], "big")):
        stream = int.from_bytes(received[5:9], "big")
        found.append(Frame(received[3], received[4], stream, received[9:end]))
        received = received[end:]
    return found


def literals(*fields: tuple[str, str]) -> bytes:
    """Return a field block without compression (RFC 7541, 6.2.2); any name, any value."""
    parts = (part.encode("latin-1") for field in fields for part in field)
    coded = [_length(len(part)) + part for part in parts]
    return b"".join(
        b"\0" + name + value for name, value in zip(coded[::2], coded[1::2], strict=True)
    )


def _length(size: int) -> bytes:
    """Return a length as RFC 7541, 5.1 has it, with a prefix of 7 bits."""
    if size < 127:
        return bytes([size])
    left, found = size - 127, b"\x7f"
    while left >= 128:
        left, found = left >> 7, found + bytes([left & 127 | 128])
    return found + bytes([left])


def headers(
    stream: int = 1, fields: Fields = REQUEST, flags: int = END_HEADERS, more: bytes = b""
) -> bytes:
    """Return a HEADERS frame; `more` is put behind the fields."""
    return frame(HEADERS, literals(*fields.items()) + more, stream, flags)


def data(stream: int = 1, payload: bytes = EMPTY_MESSAGE, flags: int = END_STREAM) -> bytes:
    """Return a DATA frame: the request's only message, if not told otherwise."""
    return frame(DATA, payload, stream, flags)


def call(stream: int = 1, fields: Fields = REQUEST) -> bytes:
    """Return a whole call."""
    return headers(stream, fields) + data(stream)


def settings(*pairs: tuple[int, int]) -> bytes:
    """Return a SETTINGS frame with these identifiers and values."""
    coded = (key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs)
    return frame(SETTINGS, b"".join(coded))


def window_update(increment: int, stream: int = 0) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, increment.to_bytes(4, "big"), stream)


def reset(stream: int = 1, error: int = 8) -> bytes:
    """Return an RST_STREAM frame, by default with CANCEL."""
    return frame(RST_STREAM, error.to_bytes(4, "big"), stream)
