"""HTTP/2 frames and gRPC messages, byte by byte: a library would refuse most of these uses."""

from collections.abc import Iterator

# Types of frames, the last one of none that is known; flags of frames (RFC 9113, 6).
DATA, HEADERS, RESET, SETTINGS, PING, WINDOW, CONTINUATION, UNKNOWN = 0, 1, 3, 4, 6, 8, 9, 200
END_STREAM, END_HEADERS = 1, 4

CANCEL = b"\0\0\0\x08"  # an error code (RFC 9113, 7)


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Return one frame (RFC 9113, 4.1)."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)


def begin(stream: int, method: str, *, ends: bool = True) -> bytes:
    """Return the headers of a call (RFC 7541).

    The first call of a connection, on stream 1, puts three headers into the dynamic table; all
    others refer to them, so that a call takes as few bytes as it can.
    """
    block = b"\x83\x86"  # POST, http
    if stream == 1:
        path = f"/localechod.v1.Control/{method}".encode()
        block += b"\x44" + bytes([len(path)]) + path
        block += b"\x5f\x10application/grpc" + b"\x40\x02te\x08trailers"
    else:
        block += b"\xc0\xbf\xbe"
    return frame(HEADERS, END_HEADERS * ends, stream, block)


def message(payload: bytes = b"") -> bytes:
    """Return a gRPC message: not compressed, its length, its payload."""
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def call(stream: int, method: str, payload: bytes = b"") -> bytes:
    """Return a whole call."""
    return begin(stream, method) + frame(DATA, END_STREAM, stream, message(payload))


def streams() -> Iterator[int]:
    """Count the numbers that a client may use."""
    yield from range(1, 1 << 31, 2)
