"""What an attack is given, and the loop that most attacks have in common."""

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# What one connection sends, piece by piece; after the last piece it only stays connected.
Talk = Callable[[], Iterator[bytes]]

_PAUSE = (
    0.01  # seconds after a refused connect, so that a flood of connects is an attack of its own
)
_LOOK = 0.05  # seconds until the deadline is looked at again


@dataclass(frozen=True, slots=True)
class Aim:
    """One attack: the directory of the sockets, how many connections, until when (monotonic)."""

    directory: Path
    connections: int
    ending: float

    def going_on(self) -> bool:
        """Whether the time is not over."""
        return time.monotonic() < self.ending

    def path(self, name: str) -> str:
        """Return the path of an endpoint; "control" is the control socket."""
        return str(self.directory / f"{name}.sock")

    def connect(self, name: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """Connect, and return a socket that does not block."""
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.settimeout(1)
        try:
            sock.connect(self.path(name))
        except OSError:
            sock.close()
            raise
        sock.setblocking(False)
        return sock

    def flood(
        self, name: str, talk: Talk, *, kind: int = socket.SOCK_STREAM, reads: bool = True
    ) -> None:
        """Send on all connections as fast as the daemon reads; connect again where it hangs up.

        Args:
            name: the endpoint.
            talk: what each connection sends.
            kind: the type of the socket.
            reads: whether replies are read, and thrown away.
        """
        clients: list[_Client | None] = [None] * self.connections
        while self.going_on():
            waiting = select.poll()
            for at, known in enumerate(clients):
                client = known
                try:
                    if client is None:
                        client = _Client(self.connect(name, kind), talk())
                    client.turn(reads=reads)
                    waiting.register(client.sock, client.waits_for(reads=reads))
                    clients[at] = client
                except OSError:
                    if client is not None:
                        client.sock.close()
                    clients[at] = None
                    time.sleep(_PAUSE / self.connections)
            waiting.poll(_LOOK * 1000)
        for client in clients:
            if client is not None:
                client.sock.close()


class _Client:
    def __init__(self, sock: socket.socket, talk: Iterator[bytes]) -> None:
        self.sock = sock
        self._talk = talk
        self._rest = b""
        self._says_more = True

    def turn(self, *, reads: bool) -> None:
        """Send what can be sent at once; OSError: the daemon has hung up."""
        with suppress(BlockingIOError):
            for _ in range(16):
                if not self._rest and not self._next():
                    break
                self._rest = self._rest[self.sock.send(self._rest) :]
        with suppress(BlockingIOError):
            while reads:
                if not self.sock.recv(65536):
                    raise ConnectionResetError

    def _next(self) -> bool:
        piece = next(self._talk, None)
        self._says_more = piece is not None
        self._rest = piece or b""
        return self._says_more

    def waits_for(self, *, reads: bool) -> int:
        return (select.POLLOUT if self._says_more else 0) | (select.POLLIN if reads else 0)
