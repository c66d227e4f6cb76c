"""Where the control server's reaction is not that of RFC 9113, and why only the sender notices.

h2 and grpclib behave so. For the reactions see http2_table.py.
"""

from tests.unit.http2_frames import (
    ACK,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PRIORITY,
    REQUEST,
    SETTINGS,
    call,
    data,
    frame,
    headers,
    literals,
    window_update,
)
from tests.unit.http2_table import BEGUN, BLOCK, REST, TRAILERS, Sent, continuation, with_length

CODE = "the connection ends as it has to, with another code"
RESET, PROTOCOL_ERROR = "reset PROTOCOL_ERROR", "goaway PROTOCOL_ERROR"
ONE_CLIENT = "a stream error ends the connection: all calls there are of the client that has erred"
NO_PROXY = "no proxy passes requests on, and all that is logged of them is escaped"
OBSOLETE = "RFC 7540 had priorities, and an error for this one"


def with_field(name: str, value: str) -> bytes:
    return headers(more=literals((name, value))) + data()


# Section, title, bytes, the reaction that RFC 9113 wants, the one that comes, and the reason.
TOLERATED: list[tuple[str, str, Sent, str, str, str]] = [
    (
        "4.3",
        "no such field",
        headers(more=b"\xff"),
        "goaway COMPRESSION_ERROR",
        PROTOCOL_ERROR,
        CODE,
    ),
    (
        "4.3",
        "a larger table than allowed",
        frame(HEADERS, b"\x3f\xff\xff\x7f" + BLOCK, 1, END_HEADERS),
        "goaway COMPRESSION_ERROR",
        PROTOCOL_ERROR,
        CODE,
    ),
    (
        "5.1.2",
        "more streams than 100",
        b"".join(headers(stream) for stream in range(1, 202, 2)),
        "reset REFUSED_STREAM",
        "refused",
        "a user has at most 64 calls under way; others get RESOURCE_EXHAUSTED",
    ),
    ("5.3.2", "on itself", frame(PRIORITY, b"\0\0\0\1\1", 1), "ignored", PROTOCOL_ERROR, OBSOLETE),
    (
        "5.5",
        "ALTSVC without its fields",
        frame(10, b"\0"),
        "ignored",
        "goaway FRAME_SIZE_ERROR",
        "RFC 7838 has clients read it, and none sends it",
    ),
    (
        "6.3",
        "PRIORITY of 4 bytes",
        frame(PRIORITY, bytes(4), 1),
        "reset FRAME_SIZE_ERROR",
        "goaway FRAME_SIZE_ERROR",
        ONE_CLIENT,
    ),
    (
        "6.5",
        "an ACK with a setting",
        frame(SETTINGS, bytes(6), 0, ACK),
        "goaway FRAME_SIZE_ERROR",
        PROTOCOL_ERROR,
        CODE,
    ),
    (
        "6.8",
        "GOAWAY after a call",
        call() + frame(GOAWAY, bytes(8)),
        "answered",
        "closed",
        "h2 sends nothing after a GOAWAY; a gRPC client sends one where it wants no more answers",
    ),
    ("6.9", "of 0", headers() + window_update(0, 1), RESET, PROTOCOL_ERROR, ONE_CLIENT),
    (
        "6.10",
        "more than 64",
        BEGUN + continuation(b"", 0) * 65 + continuation(REST) + data(),
        "answered",
        PROTOCOL_ERROR,
        "a flood of CONTINUATION costs more to handle than to send",
    ),
    (
        "8.1",
        "trailers before the end",
        headers() + frame(HEADERS, TRAILERS, 1, END_HEADERS),
        RESET,
        PROTOCOL_ERROR,
        ONE_CLIENT,
    ),
    ("8.1.1", "content-length over the data", with_length("9"), RESET, PROTOCOL_ERROR, ONE_CLIENT),
    ("8.1.1", "content-length below it", with_length("1"), RESET, PROTOCOL_ERROR, ONE_CLIENT),
    ("8.1.1", "content-length, no number", with_length("x"), RESET, PROTOCOL_ERROR, ONE_CLIENT),
    ("8.2.1", "an upper-case name", with_field("A", "b"), RESET, "answered", NO_PROXY),
    ("8.2.1", "a control character in a name", with_field("\0", "b"), RESET, "answered", NO_PROXY),
    ("8.2.1", "an empty name", with_field("", "b"), RESET, "answered", NO_PROXY),
    ("8.2.1", "a newline in a value", with_field("a", "b\nc"), RESET, "answered", NO_PROXY),
    ("8.2.1", "a space before a value", with_field("a", " b"), RESET, "answered", NO_PROXY),
    (
        "8.2.1",
        "a value that is not ASCII",
        with_field("a", "\xff"),
        "answered",
        "closed",
        "gRPC allows ASCII alone",
    ),
    ("8.2.2", "connection", with_field("connection", "close"), RESET, "answered", NO_PROXY),
    ("8.2.2", "upgrade", with_field("upgrade", "x"), RESET, "answered", NO_PROXY),
    (
        "8.2.2",
        "transfer-encoding",
        with_field("transfer-encoding", "x"),
        RESET,
        "answered",
        NO_PROXY,
    ),
    ("8.2.2", "te", call(fields=REQUEST | {"te": "gzip"}), RESET, "refused", NO_PROXY),
    ("8.3", "an unknown pseudo-header", with_field(":test", "x"), RESET, "answered", NO_PROXY),
    ("8.3", "one of a response", with_field(":status", "200"), RESET, "answered", NO_PROXY),
    ("8.3.1", "two paths", with_field(":path", REQUEST[":path"]), RESET, "answered", NO_PROXY),
]
