"""Servers that mistreat their clients: a stream socket for each way to do it, in one process.

    python -m tests.integration.hostile DIRECTORY

It binds DIRECTORY/NAME for each name in BEHAVIOURS, prints a line, and serves until it is killed.
"""

import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.attacks.frames import frame
from tests.integration.hostile_frames import (
    BEGUN,
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    HELLO,
    PING,
    PUSH,
    RST_STREAM,
    SETTINGS,
    WINDOW,
    Grpc,
    field,
    message,
)

Behaviour = Callable[[socket.socket], object]

DRIP = 0.05  # seconds from one byte to the next
_NAN = struct.pack("<d", float("nan"))


def send(data: bytes) -> Behaviour:
    """Send some bytes, then nothing."""

    def behave(sock: socket.socket) -> None:
        sock.sendall(data)
        silent(sock)

    return behave


def send_and_close(data: bytes) -> Behaviour:
    """Send some bytes, then close."""

    def behave(sock: socket.socket) -> None:
        sock.recv(1 << 16)
        sock.sendall(data)

    return behave


def flood(first: bytes, data: bytes, *, reading: bool = True) -> Behaviour:
    """Send the same bytes for ever."""

    def behave(sock: socket.socket) -> None:
        sock.sendall(first)
        many = data * (1 + (1 << 16) // len(data))
        while True:
            sock.sendall(many)
            with suppress(BlockingIOError):
                while reading and sock.recv(1 << 16, socket.MSG_DONTWAIT):
                    pass

    return behave


def drip(first: bytes, data: bytes) -> Behaviour:
    """Send bytes one at a time, without end."""

    def behave(sock: socket.socket) -> None:
        sock.sendall(first)
        while True:
            for byte in data:
                sock.sendall(bytes((byte,)))
                time.sleep(DRIP)

    return behave


def silent(sock: socket.socket) -> None:
    """Read, and send nothing."""
    while sock.recv(1 << 16):
        pass


def never_read(sock: socket.socket) -> None:
    """Neither read nor send until the client has gone."""
    poll = select.poll()
    poll.register(sock, select.POLLHUP)
    poll.poll()


def descriptors(sock: socket.socket) -> None:
    """Pass as many descriptors as a message may carry, then be silent."""
    null = os.open(os.devnull, os.O_RDONLY)
    for _ in range(50):
        socket.send_fds(sock, [HELLO], [null] * 253)
    os.close(null)
    silent(sock)


def reply(data: Callable[[str], bytes], *trailers: tuple[str, str]) -> Behaviour:
    """Send data that depends on the method, then trailers; by default status 0."""

    def behave(sock: socket.socket) -> None:
        grpc = Grpc(sock)
        grpc.write(data(grpc.method))
        grpc.end(*(trailers or (("grpc-status", "0"),)))

    return behave


def refuse(**trailers: str) -> Behaviour:
    """Refuse the call with these trailers; an underscore stands for a hyphen."""
    pairs = [(name.replace("_", "-"), value) for name, value in trailers.items()]
    return reply(lambda _: b"", ("grpc-status", "2"), *pairs)


def endless(first: bytes, data: bytes) -> Behaviour:
    """Send data of a reply without end."""

    def behave(sock: socket.socket) -> None:
        grpc = Grpc(sock)
        grpc.write(first)
        while True:
            grpc.write(data * (1 + (1 << 16) // len(data)))

    return behave


def rows(method: str) -> bytes:
    """Return as many rows, or events, as four megabytes hold: two bytes each."""
    if method == "Events":
        return message(b"") * 800_000
    return message((b"\x12\0" if method == "Status" else b"\x0a\0") * 2_000_000)


def no_number(method: str) -> bytes:
    """Return a reply whose seconds are not a number."""
    number = {"Events": 1, "Peers": 4}.get(method, 5)
    seconds = bytes((number << 3 | 1,)) + _NAN
    return message(seconds if method == "Events" else field(1, seconds))


def echo_then_drip(sock: socket.socket) -> None:
    """Echo the first two messages, then send the next reply's first bytes again and again."""
    for _ in range(2):
        sock.sendall(sock.recv(1 << 16))
    drip(b"", sock.recv(1 << 16)[:-1])(sock)


_RANDOM = random.Random(1).randbytes(1 << 16)  # noqa: S311 - the same each time

BEHAVIOURS: dict[str, Behaviour] = {
    "silent": silent,
    "never-reads": never_read,
    "drip": drip(b"", HELLO),
    "drip-reply": drip(BEGUN, frame(DATA, 0, 1, b"\0")),
    "begun": send(BEGUN),
    "closes": lambda _: None,
    "closes-begun": send_and_close(BEGUN),
    "closes-in-frame": send_and_close(BEGUN + frame(DATA, 0, 1, bytes(100))[:50]),
    "goaway": send(HELLO + frame(GOAWAY, 0, 0, bytes(8))),
    "resets": send(HELLO + frame(RST_STREAM, 0, 1, bytes(4))),
    "http": send_and_close(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "greets": send(b"220 \x1b[2Jmail ESMTP\r\n"),
    "postgres": send(b"R\0\0\0\x08\0\0\0\0"),
    "garbage": send(_RANDOM),
    "garbage-begun": send(BEGUN + _RANDOM),
    "descriptors": descriptors,
    "huge-frame": send(HELLO + b"\xff\xff\xff\0\0\0\0\0\1" + bytes(1 << 16)),
    "push": send(BEGUN + frame(PUSH, 4, 1, b"\0\0\0\2\x88")),
    "ends-without-trailers": send(BEGUN + frame(DATA, 1, 1, message(b""))),
    "pings": flood(HELLO, frame(PING, 0, 0, bytes(8))),
    "pings-unread": flood(HELLO, frame(PING, 0, 0, bytes(8)), reading=False),
    "settings": flood(
        HELLO, b"".join(frame(SETTINGS, 0, 0, struct.pack(">HI", n, 9)) for n in range(99, 65536))
    ),
    "windows": flood(HELLO, frame(WINDOW, 0, 0, b"\0\0\0\1")),
    "continuation": flood(
        HELLO + frame(HEADERS, 0, 1, b"\x88"), frame(CONTINUATION, 0, 1, b"\0\1a\1b" * 3000)
    ),
    "empty-data": flood(BEGUN, frame(DATA, 0, 1)),
    "unknown-frames": flood(HELLO, frame(0xBB, 0, 0, bytes(16000))),
    "endless-bytes": flood(b"", b"A"),
    "endless-lines": flood(b"", b"\x1b[2J\n"),
    "endless-message": endless(b"\0\xff\xff\xff\xff", b"A"),
    "endless-events": endless(b"", message(field(4, b"\x1b[2J\n" * 9))),
    "rows": reply(rows),
    "compressed": reply(lambda _: b"\1\0\0\0\1A"),
    "no-message": reply(lambda _: b""),
    "wrong-length": reply(lambda _: b"\0\0\0\0\xffA"),
    "no-protobuf": reply(lambda _: message(b"\xff" * 99)),
    "no-number": reply(no_number),
    "no-status": reply(lambda _: message(b""), ("x", "y")),
    "status-of-many-digits": reply(lambda _: message(b""), ("grpc-status", "9" * 5000)),
    "escapes": refuse(grpc_message="%1B[2J%0Aforged"),
    # Two literal headers (RFC 7541, 6.2.2).
    "not-utf8": send(
        BEGUN + frame(HEADERS, 5, 1, b"\0\x0bgrpc-status\x012\0\x0cgrpc-message\2\x1b\xff")
    ),
    "not-base64": refuse(localechod_text_bin="!", localechod_hint_bin="!"),
    "exit-status-of-many-digits": refuse(
        localechod_text_bin="eA", localechod_hint_bin="eA", localechod_exit_status="9" * 5000
    ),
    "echoes-then-drips": echo_then_drip,
}


def serve(directory: Path) -> None:
    """Bind all sockets, and serve each in a thread."""
    for name, behave in BEHAVIOURS.items():
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(directory / name))
        listener.listen(64)
        threading.Thread(target=_accept, args=(listener, behave), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.pause()


def _accept(listener: socket.socket, behave: Behaviour) -> None:
    while True:
        threading.Thread(target=_run, args=(listener.accept()[0], behave), daemon=True).start()


def _run(sock: socket.socket, behave: Behaviour) -> None:
    with sock, suppress(ConnectionError):
        behave(sock)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
