"""What a client may send wrongly, by section of RFC 9113, and how the control server reacts.

The reactions are:

- answered: the call on stream 1 is answered with a message
- refused: the call is answered with an error
- ignored: the connection goes on, and the bytes have no effect
- reset ERROR: a stream error, RST_STREAM
- goaway ERROR: a connection error, GOAWAY and end of file
- closed: end of file alone
"""

from tests.unit.http2_frames import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    call,
    data,
    frame,
    headers,
    literals,
    reset,
    settings,
    window_update,
)

# In a list, what follows a part is sent after the call of that part has been answered.
Sent = bytes | list[bytes]

BLOCK = literals(*REQUEST.items())
BEGUN = frame(HEADERS, BLOCK[:20], 1)
REST = BLOCK[20:]
TRAILERS = literals(("a", "b"))
NO_DEPENDENCY = b"\0\0\0\0\1"
LAST = 2**31 - 1
LONG = bytes(2**14 + 1)
WITHOUT_PATH = {name: value for name, value in REQUEST.items() if name != ":path"}
WITHOUT_METHOD = {name: value for name, value in REQUEST.items() if name != ":method"}
WITHOUT_SCHEME = {name: value for name, value in REQUEST.items() if name != ":scheme"}
WITHOUT_AUTHORITY = {name: value for name, value in REQUEST.items() if name != ":authority"}


def continuation(part: bytes, flags: int = END_HEADERS, stream: int = 1) -> bytes:
    return frame(CONTINUATION, part, stream, flags)


def with_length(value: str) -> bytes:
    return call(fields=REQUEST | {"content-length": value})


CASES: list[tuple[str, str, Sent, str]] = [
    ("4.1", "an unknown type", frame(0xBB, b"x") + call(), "answered"),
    ("4.1", "undefined flags", frame(PING, bytes(8), 0, 0xFE) + call(), "answered"),
    ("4.1", "the reserved bit", headers(1 << 31 | 1) + data(), "answered"),
    ("4.2", "DATA, 2^14 bytes", headers() + data(payload=bytes(2**14)), "answered"),
    ("4.2", "DATA, a byte more", headers() + data(payload=LONG), "goaway FRAME_SIZE_ERROR"),
    ("4.2", "HEADERS, a byte more", frame(HEADERS, LONG, 1, 4), "goaway FRAME_SIZE_ERROR"),
    ("4.2", "an unknown type, a byte more", frame(0xBB, LONG), "goaway FRAME_SIZE_ERROR"),
    ("4.3", "PING in a block", BEGUN + frame(PING, bytes(8)), "goaway PROTOCOL_ERROR"),
    ("4.3", "PRIORITY in a block", BEGUN + frame(2, NO_DEPENDENCY, 1), "goaway PROTOCOL_ERROR"),
    ("4.3", "another HEADERS in a block", BEGUN + headers(3), "goaway PROTOCOL_ERROR"),
    ("5.1", "idle, DATA", data(), "goaway PROTOCOL_ERROR"),
    ("5.1", "idle, RST_STREAM", reset(), "goaway PROTOCOL_ERROR"),
    ("5.1", "idle, WINDOW_UPDATE", window_update(1, 1), "goaway PROTOCOL_ERROR"),
    ("5.1", "idle, CONTINUATION", continuation(BLOCK), "goaway PROTOCOL_ERROR"),
    ("5.1", "idle, PRIORITY", frame(PRIORITY, NO_DEPENDENCY, 1) + call(), "answered"),
    ("5.1", "idle, the server's own", window_update(1, 2), "goaway PROTOCOL_ERROR"),
    ("5.1", "half-closed, DATA", call() + data(), "reset STREAM_CLOSED"),
    # So short that the server reads it with the call, and has not answered the call before.
    (
        "5.1",
        "half-closed, HEADERS",
        call() + frame(HEADERS, literals((":method", "POST")), 1, END_HEADERS),
        "reset STREAM_CLOSED",
    ),
    ("5.1", "half-closed, CONTINUATION", call() + continuation(BLOCK), "goaway PROTOCOL_ERROR"),
    ("5.1", "half-closed, WINDOW_UPDATE", call() + window_update(5, 1), "answered"),
    ("5.1", "half-closed, PRIORITY", call() + frame(PRIORITY, NO_DEPENDENCY, 1), "answered"),
    ("5.1", "half-closed, RST_STREAM", call() + reset(), "ignored"),
    ("5.1", "after RST_STREAM, DATA", headers() + reset() + data(), "reset STREAM_CLOSED"),
    ("5.1", "after RST_STREAM, HEADERS", headers() + reset() + headers(), "reset STREAM_CLOSED"),
    ("5.1", "after RST_STREAM, another", headers() + reset() + reset(), "ignored"),
    ("5.1", "after RST_STREAM, window", headers() + reset() + window_update(5, 1), "ignored"),
    ("5.1", "closed, DATA", [call(), data()], "reset STREAM_CLOSED"),
    ("5.1", "closed, HEADERS", [call(), headers()], "goaway STREAM_CLOSED"),
    ("5.1", "closed, WINDOW_UPDATE", [call(), window_update(5, 1)], "ignored"),
    ("5.1", "closed, RST_STREAM", [call(), reset()], "ignored"),
    ("5.1", "closed, PRIORITY", [call(), frame(PRIORITY, NO_DEPENDENCY, 1)], "ignored"),
    ("5.1", "closed, CONTINUATION", [call(), continuation(BLOCK)], "goaway PROTOCOL_ERROR"),
    ("5.1.1", "an even number", headers(2), "goaway PROTOCOL_ERROR"),
    ("5.1.1", "a lower number", call(5) + headers(3), "goaway PROTOCOL_ERROR"),
    ("5.1.1", "a lower number, DATA", call(5) + data(3), "reset STREAM_CLOSED"),
    ("5.1.1", "the highest number", call(LAST), "answered"),
    ("5.3.2", "a priority", headers(3) + frame(PRIORITY, b"\0\0\0\1\1", 3) + call(5), "answered"),
    (
        "5.3.2",
        "HEADERS with a priority",
        frame(HEADERS, NO_DEPENDENCY + BLOCK, 1, END_HEADERS | PRIORITIZED) + data(),
        "answered",
    ),
    ("5.5", "an unknown type in a block", BEGUN + frame(0xBB, b"x", 1), "goaway PROTOCOL_ERROR"),
    ("5.5", "an unknown type on a stream", headers() + frame(0xBB, b"x", 1) + data(), "answered"),
    ("5.5", "ALTSVC", frame(10, b"\0\1xy") + call(), "answered"),
    ("5.5", "PRIORITY_UPDATE", frame(16, b"\0\0\0\1u=1") + call(), "answered"),
    ("6.1", "DATA on stream 0", data(0), "goaway PROTOCOL_ERROR"),
    ("6.1", "padding", headers() + data(1, b"\3" + bytes(8), END_STREAM | PADDED), "answered"),
    ("6.1", "all is padding", headers() + data(1, b"\3" + bytes(3), PADDED) + data(), "answered"),
    ("6.1", "too much", headers() + data(1, b"\6" + bytes(5), PADDED), "goaway PROTOCOL_ERROR"),
    ("6.2", "HEADERS on stream 0", headers(0), "goaway PROTOCOL_ERROR"),
    ("6.2", "padding", frame(HEADERS, b"\3" + BLOCK + bytes(3), 1, 12) + data(), "answered"),
    ("6.2", "too much", frame(HEADERS, b"\xff" + BLOCK[:99], 1, 12), "goaway PROTOCOL_ERROR"),
    ("6.3", "PRIORITY on stream 0", frame(PRIORITY, NO_DEPENDENCY), "goaway PROTOCOL_ERROR"),
    ("6.4", "RST_STREAM on stream 0", reset(0), "goaway PROTOCOL_ERROR"),
    ("6.4", "of 3 bytes", headers() + frame(RST_STREAM, bytes(3), 1), "goaway FRAME_SIZE_ERROR"),
    ("6.5", "SETTINGS on a stream", frame(SETTINGS, b"", 1), "goaway PROTOCOL_ERROR"),
    ("6.5", "of 5 bytes", frame(SETTINGS, bytes(5)), "goaway FRAME_SIZE_ERROR"),
    ("6.5", "a needless ACK", frame(SETTINGS, b"", 0, ACK) * 3 + call(), "answered"),
    ("6.5.2", "ENABLE_PUSH 2", settings((2, 2)), "goaway PROTOCOL_ERROR"),
    ("6.5.2", "INITIAL_WINDOW_SIZE 2^31", settings((4, 2**31)), "goaway FLOW_CONTROL_ERROR"),
    ("6.5.2", "MAX_FRAME_SIZE 2^14 - 1", settings((5, 2**14 - 1)), "goaway PROTOCOL_ERROR"),
    ("6.5.2", "MAX_FRAME_SIZE 2^24", settings((5, 2**24)), "goaway PROTOCOL_ERROR"),
    ("6.5.2", "MAX_CONCURRENT_STREAMS 0", settings((3, 0)) + call(), "answered"),
    ("6.5.2", "HEADER_TABLE_SIZE 2^32 - 1", settings((1, 2**32 - 1)) + call(), "answered"),
    ("6.5.2", "an unknown setting", settings((0x99, 1)) + call(), "answered"),
    ("6.5.3", "one twice: the last counts", settings((4, 0), (4, 65535)) + call(), "answered"),
    ("6.6", "PUSH_PROMISE", headers() + frame(PUSH_PROMISE, bytes(4), 1), "goaway PROTOCOL_ERROR"),
    ("6.7", "PING on a stream", frame(PING, bytes(8), 1), "goaway PROTOCOL_ERROR"),
    ("6.7", "PING of 7 bytes", frame(PING, bytes(7)), "goaway FRAME_SIZE_ERROR"),
    ("6.7", "an answer to no PING", frame(PING, bytes(8), 0, ACK), "ignored"),
    ("6.8", "GOAWAY on a stream", frame(GOAWAY, bytes(8), 1), "goaway PROTOCOL_ERROR"),
    ("6.8", "GOAWAY of 7 bytes", frame(GOAWAY, bytes(7)), "goaway FRAME_SIZE_ERROR"),
    ("6.9", "WINDOW_UPDATE of 0", window_update(0), "goaway PROTOCOL_ERROR"),
    ("6.9", "of 3 bytes", frame(WINDOW_UPDATE, bytes(3)), "goaway FRAME_SIZE_ERROR"),
    ("6.9.1", "the sum over 2^31 - 1", window_update(LAST), "goaway FLOW_CONTROL_ERROR"),
    ("6.9.1", "on a stream", headers() + window_update(LAST, 1), "reset FLOW_CONTROL_ERROR"),
    ("6.9.2", "no window", settings((4, 0)) + call(), "ignored"),
    ("6.9.2", "a window later", settings((4, 0)) + call() + settings((4, 65535)), "answered"),
    ("6.9.2", "byte by byte", settings((4, 0)) + call() + window_update(1, 1) * 400, "answered"),
    (
        "6.9.2",
        "a setting that makes a window too large",
        headers() + window_update(LAST - 65535, 1) + settings((4, 65536)),
        "goaway FLOW_CONTROL_ERROR",
    ),
    ("6.10", "several", BEGUN + continuation(b"", 0) + continuation(REST) + data(), "answered"),
    ("6.10", "after END_HEADERS", headers() + continuation(BLOCK), "goaway PROTOCOL_ERROR"),
    ("6.10", "on another stream", BEGUN + continuation(REST, stream=3), "goaway PROTOCOL_ERROR"),
    ("6.10", "on stream 0", BEGUN + continuation(REST, stream=0), "goaway PROTOCOL_ERROR"),
    ("7", "an unknown error", headers() + reset(error=0xFF) + call(3), "answered"),
    (
        "8.1",
        "trailers",
        headers() + data(flags=0) + frame(HEADERS, TRAILERS, 1, END_HEADERS | END_STREAM),
        "answered",
    ),
    ("8.1.1", "content-length", with_length("5"), "answered"),
    ("8.3.1", "no :method", call(fields=WITHOUT_METHOD), "reset PROTOCOL_ERROR"),
    ("8.3.1", "no :scheme", call(fields=WITHOUT_SCHEME), "reset PROTOCOL_ERROR"),
    ("8.3.1", "no :path", call(fields=WITHOUT_PATH), "reset PROTOCOL_ERROR"),
    ("8.3.1", "no fields", headers(fields={}, flags=END_HEADERS), "reset PROTOCOL_ERROR"),
    ("8.3.1", "no fields, and reset", headers(fields={}) + reset() + call(3), "answered"),
    ("8.3.1", "no :authority", call(fields=WITHOUT_AUTHORITY), "answered"),
    ("8.3.1", "an empty :path", call(fields=REQUEST | {":path": ""}), "refused"),
    ("8.3.1", "GET", call(fields=REQUEST | {":method": "GET"}), "refused"),
    (
        "gRPC",
        "a deadline in the past",
        call(fields=REQUEST | {"grpc-timeout": "0m"}),
        "answered",
    ),
    ("gRPC", "an invalid deadline", call(fields=REQUEST | {"grpc-timeout": "x"}), "answered"),
]
