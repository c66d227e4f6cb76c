"""A small echo server for each transport, to compare the transports themselves.

The same loop serves all of them, and neither side does anything else: the differences are the
kernel's. To learn the speed of a service, measure that service.
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

_READ = 1 << 16  # bytes; no UDP message is longer
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Transport:
    """A means of communication between two processes of one machine.

    Attributes:
        name: its name in tables.
        family: socket.AF_UNIX or socket.AF_INET; 0 for a pair of pipes.
        type: socket.SOCK_*; 0 for pipes.
    """

    name: str
    family: int
    type: int

    @property
    def boundaries(self) -> bool:
        """True where the kernel preserves message boundaries."""
        return self.type in {socket.SOCK_DGRAM, socket.SOCK_SEQPACKET}


TRANSPORTS = (
    Transport("stream", socket.AF_UNIX, socket.SOCK_STREAM),
    Transport("datagram", socket.AF_UNIX, socket.SOCK_DGRAM),
    Transport("seqpacket", socket.AF_UNIX, socket.SOCK_SEQPACKET),
    Transport("tcp", socket.AF_INET, socket.SOCK_STREAM),
    Transport("udp", socket.AF_INET, socket.SOCK_DGRAM),
    Transport("pipe", 0, 0),
)
"""Local sockets come first; the others are compared with the first one."""

_Handler = Callable[[], bool]
"""Echoes what a descriptor has to read; returns False at end of file."""


@contextmanager
def echo_server(
    transport: Transport, connections: int, directory: Path
) -> Iterator[tuple[int, list[Channel]]]:
    """Run an echo server in a child process; yield its pid and the connections to it.

    The child also exits when this process does, however that happens.

    Args:
        transport: how to communicate with it.
        connections: how many connections to make.
        directory: a private one with a short path, for sockets.

    Raises:
        OSError: too many descriptors or processes, or the kernel lacks the transport.
    """
    with ExitStack() as stack:
        if not transport.family:
            ours, theirs = _pipes(connections, stack)
            with _child(lambda: [_copier(*ends) for ends in theirs]) as pid:
                yield pid, [Channel(*ends, "pipe", boundaries=False) for ends in ours]
            return
        listener = stack.enter_context(socket.socket(transport.family, transport.type))
        local = transport.family == socket.AF_UNIX
        listener.bind(str(directory / transport.name) if local else (_LOOPBACK, 0))
        if transport.type != socket.SOCK_DGRAM:
            listener.listen(connections)
        clients = []
        # Connect before the child exists: it then never waits for a connection that does not come.
        for number in range(connections):
            client = stack.enter_context(socket.socket(transport.family, transport.type))
            if local and transport.type == socket.SOCK_DGRAM:
                client.bind(str(directory / f"{transport.name}-{number}"))
            client.connect(listener.getsockname())
            _set_nodelay(client)
            clients.append(client.fileno())
        with _child(lambda: _handlers(listener, transport, connections)) as pid:
            boundaries = transport.boundaries
            yield pid, [Channel(fd, fd, transport.name, boundaries=boundaries) for fd in clients]


@contextmanager
def _child(handlers: Callable[[], Sequence[tuple[int, _Handler]]]) -> Iterator[int]:
    """Run an echo loop in a child process, which exits when its pipe from the parent is closed."""
    parent_alive, keep_open = os.pipe()
    pid = os.fork()
    if not pid:
        # Ctrl-C signals the whole process group. Only the closed pipe shall end the child.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = 1
        try:
            os.close(keep_open)
            _serve(parent_alive, dict(handlers()))
            status = 0
        finally:
            os._exit(status)
    os.close(parent_alive)
    try:
        yield pid
    finally:
        os.close(keep_open)
        os.waitpid(pid, 0)


def _serve(parent_alive: int, handlers: dict[int, _Handler]) -> None:
    with select.epoll() as epoll:
        epoll.register(parent_alive, select.EPOLLIN)
        for descriptor in handlers:
            epoll.register(descriptor, select.EPOLLIN)
        while True:
            for descriptor, _ in epoll.poll():
                if descriptor == parent_alive:
                    return
                if not handlers[descriptor]():
                    epoll.unregister(descriptor)


def _handlers(
    listener: socket.socket, transport: Transport, connections: int
) -> list[tuple[int, _Handler]]:
    if transport.type == socket.SOCK_DGRAM:

        def reply() -> bool:
            data, sender = listener.recvfrom(_READ)
            listener.sendto(data, sender)
            return True

        return [(listener.fileno(), reply)]
    handlers = []
    for _ in range(connections):
        sock = listener.accept()[0]
        _set_nodelay(sock)
        descriptor = sock.detach()
        handlers.append(_copier(descriptor, descriptor))
    return handlers


def _copier(source: int, sink: int) -> tuple[int, _Handler]:
    """Return a descriptor and the handler that writes to `sink` what it reads from it."""

    def copy() -> bool:
        data = os.read(source, _READ)
        view = memoryview(data)
        while view:
            view = view[os.write(sink, view) :]
        return bool(data)

    return source, copy


def _pipes(count: int, stack: ExitStack) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return pairs of descriptors to read from and to write to: the parent's, then the child's."""
    ours, theirs = [], []
    for _ in range(count):
        ends = [*os.pipe(), *os.pipe()]
        for descriptor in ends:
            stack.callback(os.close, descriptor)
        ours.append((ends[0], ends[3]))
        theirs.append((ends[2], ends[1]))
    return ours, theirs


def _set_nodelay(sock: socket.socket) -> None:
    """Send small messages at once (tcp(7), TCP_NODELAY), as every request-reply client does."""
    if sock.family == socket.AF_INET and sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
