"""Captures in the pcapng format, which Wireshark and tshark read (draft-ietf-opsawg-pcapng).

Each packet is an "exported PDU" (LINKTYPE_WIRESHARK_UPPER_PDU): tags name the dissector and the two
ends. A stream is written as TCP segments, with sequence numbers, so that a dissector gets messages
put together again however they were cut. Records and datagrams are packets by themselves.
"""

import errno
import os
import struct
import time
from contextlib import suppress

_UPPER_PDU = 252
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_COMMENT, _NAME = 1, 2  # opt_comment, if_name
_LONGEST = 60_000  # of a segment; pieces read from a socket may be larger

# wsutil/wireshark: epan/exported_pdu.h
_DISSECTOR, _SOURCE, _TARGET, _PORT_TYPE, _SOURCE_PORT, _TARGET_PORT = 12, 20, 21, 24, 25, 26
_TCP = 2

_SYN, _FIN, _PUSH, _ACK = 0x02, 0x01, 0x08, 0x10

# Wireshark finds the dissector of a stream by its port. HTTP/2 is recognized by its first bytes.
PORTS = {"http": 80, "http2": 80, "mysql": 3306, "pgsql": 5432, "resp": 6379, "x11": 6000}
_UNKNOWN_PORT = 9  # discard
_FIRST_CLIENT = 10_000

_CLIENT, _SERVER = bytes((127, 0, 0, 1)), bytes((127, 0, 0, 2))


class Capture:
    """A capture that grows in a file.

    Args:
        descriptor: open for writing; owned from now on.
        socket_name: the name of the socket, for people.
        dissector: the name of Wireshark's dissector for what is inside, or "".

    Raises:
        OSError: the file cannot be written; also from each method below.
    """

    def __init__(self, descriptor: int, socket_name: str, dissector: str) -> None:
        self._file, self._size = descriptor, 0
        self._dissector = dissector or "data"
        self.port = PORTS.get(dissector, _UNKNOWN_PORT)
        self._write(
            _block(_SECTION, struct.pack("=IHHq", 0x1A2B3C4D, 1, 0, -1))
            + _block(
                _INTERFACE,
                struct.pack("=HHI", _UPPER_PDU, 0, 0) + _option(_NAME, socket_name.encode()),
            )
        )

    @property
    def segments(self) -> bool:
        """True if streams are written as TCP segments, which needs the dissector's port."""
        return self._dissector == "data" or self.port != _UNKNOWN_PORT

    def packet(self, pair: "Pair", data: bytes, *, reply: bool, dissector: str = "") -> None:
        """Write one packet between the ends of a pair."""
        ends = (_SERVER, _CLIENT, self.port, pair.port)
        source, target, source_port, target_port = (
            ends if reply else (_CLIENT, _SERVER, pair.port, self.port)
        )
        tags = (
            _tag(_DISSECTOR, (dissector or self._dissector).encode())
            + _tag(_SOURCE, source)
            + _tag(_TARGET, target)
            + _tag(_PORT_TYPE, struct.pack(">I", _TCP))
            + _tag(_SOURCE_PORT, struct.pack(">I", source_port))
            + _tag(_TARGET_PORT, struct.pack(">I", target_port))
            + bytes(4)
        )
        body = tags + data
        now = time.time_ns() // 1000
        head = struct.pack("=IIIII", 0, now >> 32, now & 0xFFFFFFFF, len(body), len(body))
        comment = _option(_COMMENT, pair.comment.encode()) if pair.comment else b""
        pair.comment = ""
        self._write(_block(_PACKET, head + _padded(body) + comment))

    def _write(self, block: bytes) -> None:
        """Write a block whole, or not at all, as on a disk that is full."""
        written = os.write(self._file, block)
        if written != len(block):
            with suppress(OSError):  # a pipe cannot be cut
                os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Pair:
    """A client and a server in a capture.

    Args:
        number: counts the pairs; the client's port is made of it.
        comment: what to tell a reader with the first packet, or "".
    """

    def __init__(self, number: int, comment: str) -> None:
        self.port = _FIRST_CLIENT + number % 50_000
        self.comment = comment


class Stream:
    """A stream in a capture: the segments of a TCP connection that never was.

    Raises:
        OSError: from each method: the file cannot be written.
    """

    def __init__(self, capture: Capture, pair: Pair) -> None:
        self._capture, self._pair = capture, pair
        self._next = [1, 1]  # sequence numbers of the client and of the server
        if capture.segments:
            self._segment(_SYN, b"", reply=False, numbers=(0, 0))
            self._segment(_SYN | _ACK, b"", reply=True, numbers=(0, 1))
            self._segment(_ACK, b"", reply=False)

    def data(self, data: bytes, *, reply: bool) -> None:
        """Write bytes that were passed on."""
        for start in range(0, len(data), _LONGEST):
            piece = data[start : start + _LONGEST]
            if self._capture.segments:
                self._segment(_PUSH | _ACK, piece, reply=reply)
                self._next[reply] = (self._next[reply] + len(piece)) % 2**32
            else:
                self._capture.packet(self._pair, piece, reply=reply)

    def end(self, *, reply: bool) -> None:
        """Write that one side sends no more."""
        if self._capture.segments:
            self._segment(_FIN | _ACK, b"", reply=reply)
            self._next[reply] = (self._next[reply] + 1) % 2**32

    def _segment(
        self, flags: int, data: bytes, *, reply: bool, numbers: tuple[int, int] | None = None
    ) -> None:
        ports = (self._pair.port, self._capture.port)
        sequence, acknowledged = numbers or (self._next[reply], self._next[not reply])
        source, target = reversed(ports) if reply else ports
        header = struct.pack(
            ">HHIIBBHHH", source, target, sequence, acknowledged, 5 << 4, flags, 65535, 0, 0
        )
        self._capture.packet(self._pair, header + data, reply=reply, dissector="tcp")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + _padded(value) + bytes(4)


def _tag(number: int, value: bytes) -> bytes:
    value = _padded(value)
    return struct.pack(">HH", number, len(value)) + value


def _block(kind: int, body: bytes) -> bytes:
    body = _padded(body)
    size = struct.pack("=I", len(body) + 12)
    return struct.pack("=I", kind) + size + body + size
