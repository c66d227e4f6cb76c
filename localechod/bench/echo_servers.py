"""Small echo processes of our own, one for each transport, to compare the transports themselves.

The same loop serves all of them, and neither side has any other work, so that what differs is the
kernel's part. For a service's own speed, measure that service.
"""

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from localechod.bench.channel import Channel

_READ = 1 << 16  # bytes; no message of UDP is longer
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Transport:
    """A way from one process to another on this machine.

    Attributes:
        name: as people call it.
        family: socket.AF_UNIX or socket.AF_INET; 0 for a pair of pipes.
        type: socket.SOCK_*; 0 for pipes.
    """

    name: str
    family: int
    type: int

    @property
    def boundaries(self) -> bool:
        """True where the kernel keeps messages apart."""
        return self.type in {socket.SOCK_DGRAM, socket.SOCK_SEQPACKET}


TRANSPORTS = (
    Transport("stream", socket.AF_UNIX, socket.SOCK_STREAM),
    Transport("datagram", socket.AF_UNIX, socket.SOCK_DGRAM),
    Transport("seqpacket", socket.AF_UNIX, socket.SOCK_SEQPACKET),
    Transport("tcp", socket.AF_INET, socket.SOCK_STREAM),
    Transport("udp", socket.AF_INET, socket.SOCK_DGRAM),
    Transport("pipe", 0, 0),
)
"""Local sockets first; the first one is what the others are compared with."""

_Route = Callable[[], bool]
"""Answers what can be read now; False at the end."""


@contextmanager
def peer(
    transport: Transport, connections: int, directory: Path
) -> Iterator[tuple[int, list[Channel]]]:
    """Start an echo process; give its pid and so many connections to it, and end it afterwards.

    It ends by itself when this process does, however that happens.

    Args:
        transport: which way to it.
        connections: how many.
        directory: private, with a short path; sockets are bound in it.

    Raises:
        OSError: no descriptors or processes are left, or no such transport in this kernel.
    """
    with ExitStack() as stack:
        if not transport.family:
            ours, theirs = _pipes(connections, stack)
            with _child(lambda: [_forward(*ends) for ends in theirs]) as pid:
                yield pid, [Channel(*ends, "pipe", boundaries=False) for ends in ours]
            return
        listener = stack.enter_context(socket.socket(transport.family, transport.type))
        local = transport.family == socket.AF_UNIX
        listener.bind(str(directory / transport.name) if local else (_LOOPBACK, 0))
        if transport.type != socket.SOCK_DGRAM:
            listener.listen(connections)
        clients = []
        # Before there is a process to accept them: it then never waits for one that does not come.
        for number in range(connections):
            client = stack.enter_context(socket.socket(transport.family, transport.type))
            if local and transport.type == socket.SOCK_DGRAM:
                client.bind(str(directory / f"{transport.name}-{number}"))
            client.connect(listener.getsockname())
            _without_delay(client)
            clients.append(client.fileno())
        with _child(lambda: _routes(listener, transport, connections)) as pid:
            kept = transport.boundaries
            yield pid, [Channel(end, end, transport.name, boundaries=kept) for end in clients]


@contextmanager
def _child(routes: Callable[[], Sequence[tuple[int, _Route]]]) -> Iterator[int]:
    """Run an echo in a process of its own, which ends when the other end of a pipe is closed."""
    lifeline, hold = os.pipe()
    pid = os.fork()
    if not pid:
        # A Ctrl-C goes to the whole group; the end comes by the lifeline alone.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = 1
        try:
            os.close(hold)
            _serve(lifeline, dict(routes()))
            status = 0
        finally:
            os._exit(status)
    os.close(lifeline)
    try:
        yield pid
    finally:
        os.close(hold)
        os.waitpid(pid, 0)


def _serve(lifeline: int, routes: dict[int, _Route]) -> None:
    with select.epoll() as epoll:
        epoll.register(lifeline, select.EPOLLIN)
        for descriptor in routes:
            epoll.register(descriptor, select.EPOLLIN)
        while True:
            for descriptor, _ in epoll.poll():
                if descriptor == lifeline:
                    return
                if not routes[descriptor]():
                    epoll.unregister(descriptor)


def _routes(
    listener: socket.socket, transport: Transport, connections: int
) -> list[tuple[int, _Route]]:
    if transport.type == socket.SOCK_DGRAM:

        def answer() -> bool:
            data, sender = listener.recvfrom(_READ)
            listener.sendto(data, sender)
            return True

        return [(listener.fileno(), answer)]
    routes = []
    for _ in range(connections):
        sock = listener.accept()[0]
        _without_delay(sock)
        descriptor = sock.detach()
        routes.append(_forward(descriptor, descriptor))
    return routes


def _forward(source: int, sink: int) -> tuple[int, _Route]:
    """Return a route that writes what it reads."""

    def answer() -> bool:
        data = os.read(source, _READ)
        view = memoryview(data)
        while view:
            view = view[os.write(sink, view) :]
        return bool(data)

    return source, answer


def _pipes(count: int, stack: ExitStack) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return pairs to (read, write) for us and for the peer."""
    ours, theirs = [], []
    for _ in range(count):
        ends = [*os.pipe(), *os.pipe()]
        for descriptor in ends:
            stack.callback(os.close, descriptor)
        ours.append((ends[0], ends[3]))
        theirs.append((ends[2], ends[1]))
    return ours, theirs


def _without_delay(sock: socket.socket) -> None:
    """Let small messages leave at once (tcp(7), TCP_NODELAY), as every client of this kind does."""
    if sock.family == socket.AF_INET and sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
