"""Attacks on stream and seqpacket endpoints."""

import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, repeat

from tests.attacks.aim import Aim

_MIB = 1 << 20
_A_MINUTE = struct.pack("ii", 1, 60)  # struct linger

STREAM, SEQUENCE, LARGE, LOGGED = "stream", "sequence", "large", "logged"
PASSING = "passing"  # it sends descriptors back
LONGEST = 16 * _MIB  # bytes: max_message of the endpoint LARGE


def lines(
    name: str, piece: bytes, *, kind: int = socket.SOCK_STREAM, reads: bool = True
) -> Callable[[Aim], None]:
    """Return an attack: the same bytes over and over."""
    return lambda aim: aim.flood(name, lambda: repeat(piece), kind=kind, reads=reads)


def connects(aim: Aim) -> None:
    """Connect, send a line, and hang up without reading the reply."""
    while aim.going_on():
        with suppress(OSError), aim.connect(STREAM) as sock:
            sock.send(b"x\n")


def keepers(aim: Aim) -> None:
    """Keep as much of a line in the daemon's memory as it allows, and never send its end."""
    pieces = [b"x" * _MIB] * (LONGEST // _MIB - 1)
    aim.flood(LARGE, lambda: iter(pieces))


def halves(aim: Aim) -> None:
    """Shut one direction down after half a line, and stay."""
    kept: list[socket.socket] = []
    while aim.going_on():
        with suppress(OSError):
            sock = aim.connect(STREAM)
            kept.append(sock)
            sock.send(b"x\nhalf a line")
            sock.shutdown(socket.SHUT_WR)
        if len(kept) > aim.connections:
            kept.pop(0).close()


def descriptors(aim: Aim) -> None:
    """Pass descriptors, among them the socket itself, and hang up with the reply unread."""
    null = os.open("/dev/null", os.O_RDONLY)
    while aim.going_on():
        with suppress(OSError), aim.connect(STREAM) as sock:
            for _ in range(10):
                passed = [*[null] * 100, sock.fileno()]
                socket.send_fds(sock, [b"take these\n"], passed)


def lingering(aim: Aim) -> None:
    """Pass the last descriptor of a TCP socket whose close waits for a minute, and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        while aim.going_on():
            for name in (STREAM, PASSING):
                with suppress(OSError), aim.connect(name) as sock, _unsent(server) as passed:
                    sock.shutdown(socket.SHUT_RD)  # it does not come back
                    socket.send_fds(sock, [b"take this\n"], [passed.fileno()])
                    passed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _A_MINUTE)


@contextmanager
def _unsent(server: socket.socket) -> Iterator[socket.socket]:
    """Connect to this server, and send more than is read. Its end lasts as long as the caller's."""
    with socket.create_connection(server.getsockname()) as client:
        server.accept()[0].detach()
        client.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                client.send(bytes(65536))
        yield client


def out_of_band(aim: Aim) -> None:
    """Send out-of-band bytes alone, and between others."""
    kept: list[socket.socket] = []
    while aim.going_on():
        with suppress(OSError):
            if len(kept) < aim.connections:
                kept.append(aim.connect(PASSING if len(kept) % 2 else STREAM))
            for sock in kept[: aim.connections // 2]:
                sock.send(b"x", socket.MSG_OOB)
                sock.send(b"x\n")
            kept[-1].send(b"x", socket.MSG_OOB)


def one_byte(aim: Aim) -> None:
    """Write line after line byte by byte."""

    def talk() -> Iterator[bytes]:
        yield from chain.from_iterable(repeat([b"x"] * 99 + [b"\n"]))

    aim.flood(STREAM, talk)


def empty(aim: Aim) -> None:
    """Send empty records."""
    kept: list[socket.socket] = []
    while aim.going_on():
        with suppress(OSError):
            if len(kept) < aim.connections:
                kept.append(aim.connect(SEQUENCE, socket.SOCK_SEQPACKET))
        for sock in kept:
            with suppress(OSError):
                for _ in range(50):
                    sock.send(b"")
                for _ in range(50):
                    sock.recv(100)
