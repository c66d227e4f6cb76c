"""Clients of a world's endpoints, and what each of them has to get."""

import os
import socket
from contextlib import suppress

from tests.fuzz.world import World

KINDS = {
    "stream": socket.SOCK_STREAM,
    "datagram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
}


class Client:
    """A client of an endpoint, which has to be answered for as long as it is connected.

    Attributes:
        begun: what of a line has been sent before its end.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        settings = world.endpoints[name].config
        self.type = settings.type
        self.sock = socket.socket(socket.AF_UNIX, KINDS[settings.type])
        self.sock.setblocking(False)
        if settings.type == "datagram":
            self.sock.bind("")
        self.sock.connect(settings.path)
        self.begun = b""
        self._inode = self._other_end()

    def was_left(self) -> bool:
        """Whether its endpoint has another socket by now, which loses whoever sends datagrams."""
        return self._other_end() != self._inode

    def _other_end(self) -> int:
        """Return the endpoint's socket by its inode, which a restart does not change."""
        bound = self.world.endpoints[self.name].bound
        return 0 if bound is None else os.fstat(bound.sock.fileno()).st_ino

    def begin(self) -> None:
        """Send some of a line."""
        self.sock.send(b"begun ")
        self.begun += b"begun "

    def ask(self) -> None:
        """Send a message, or the end of one, and get its reply and nothing else."""
        self.sock.send(b"asked\n")
        message, self.begun = self.begun + b"asked\n", b""
        expected = self.world.endpoints[self.name].config.prefix_bytes + message
        assert self.read(len(expected)) == expected

    def end(self) -> None:
        """Say that nothing more comes; the rest is answered, then comes end of file."""
        prefix = self.world.endpoints[self.name].config.prefix_bytes
        self.sock.shutdown(socket.SHUT_WR)
        if self.type != "datagram":
            expected = prefix + self.begun if self.begun else b""
            assert self.read(len(expected) + 1) == expected
        self.sock.close()

    def was_let_go(self) -> None:
        """Read end of file, not a reset; what was begun is answered before it."""
        if self.type != "datagram":
            got = self.read(1 << 16)
            assert got.endswith(self.begun), (got, self.begun)
        self.sock.close()

    def read(self, size: int) -> bytes:
        """Read so much, or what comes before end of file."""
        got = b""

        def done() -> bool:
            nonlocal got
            with suppress(BlockingIOError):
                while len(got) < size:
                    part = self.sock.recv(size - len(got))
                    got += part
                    if not part:
                        return True
            return len(got) >= size

        self.world.until(done, lambda: f"{self.name} answered {got!r} and no more")
        return got
