"""The daemon that is soaked, what is measured of it, and the table in which that is told."""

import os
import re
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.harness import (
    CHECKOUT,
    DEADLINE,
    Daemon,
    descriptors,
    receive,
    resident,
    until,
)

KINDS = {
    "stream": socket.SOCK_STREAM,
    "sequence": socket.SOCK_SEQPACKET,
    "datagram": socket.SOCK_DGRAM,
}

# Python imports a module of this name at its start: it has the daemon tell how many tasks it has.
_WITNESS = """
import asyncio, os, signal
def tell(*_):
    os.write(2, b"tasks: %d.\\n" % len(asyncio.all_tasks()))
signal.signal(signal.SIGUSR2, tell)
"""

# Beside the clients of one phase: what the daemon has open itself, and its reserve.
_OWN = 400


@dataclass(slots=True)
class Report:
    """Rows of what was seen and what was allowed.

    Attributes:
        broken: how many bounds were.
    """

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    broken: int = 0

    def add(self, what: str, seen: str, bound: str = "", *, fine: bool = True) -> None:
        """Note one figure, and whether it keeps its bound; told at once, for who waits."""
        self.broken += not fine
        self.rows.append((what, seen, bound, "" if not bound else "ok" if fine else "BROKEN"))
        sys.stderr.write(f"soak: {what}: {seen}\n")

    def text(self) -> str:
        """Return the table, 80 columns wide."""
        rows = [("WHAT", "SEEN", "BOUND", ""), *self.rows]
        lines = [
            f"{what:<40} {seen:<18} {bound:<13} {word}".rstrip() for what, seen, bound, word in rows
        ]
        verdict = "every bound kept" if not self.broken else f"{self.broken} bounds broken"
        return "\n".join([*lines, "", verdict])


@dataclass(frozen=True, slots=True)
class Target:
    """One daemon under load."""

    daemon: Daemon

    def open(self, kind: str) -> socket.socket:
        """Connect, with a deadline on everything; for datagrams with a name to be answered at."""
        sock = socket.socket(socket.AF_UNIX, KINDS[kind])
        sock.settimeout(DEADLINE)
        if kind == "datagram":
            sock.bind("")
        sock.connect(self.daemon.path(kind))
        return sock

    def echo(self, sock: socket.socket, message: bytes = b"hello\n") -> bool:
        """Tell whether a message comes back with its prefix."""
        sock.sendall(message)
        return receive(sock, 4 + len(message)) == b"Hi, " + message

    def descriptors(self) -> int:
        """Count its open descriptors."""
        return descriptors(self.daemon.pid)

    def threads(self) -> int:
        """Count its threads."""
        return len(list(Path(f"/proc/{self.daemon.pid}/task").iterdir()))

    def tasks(self) -> int:
        """Ask for the number of its asyncio tasks, by signal; it answers in its log."""
        before = self._told()
        os.kill(self.daemon.pid, signal.SIGUSR2)
        until(lambda: len(self._told()) > len(before))
        return int(self._told()[-1])

    def _told(self) -> list[str]:
        return re.findall(r"^tasks: (\d+)\.$", self.daemon.log.read_text("utf-8"), re.MULTILINE)

    def resident(self) -> int:
        """Return its memory in bytes."""
        return resident(self.daemon.pid)

    def settled(self, before: int, seconds: float = 30) -> int:
        """Return its descriptors once they are back at what they were, or as they are by then."""
        deadline = time.monotonic() + seconds
        while (now := self.descriptors()) > before and time.monotonic() < deadline:
            time.sleep(0.05)
        return now


@contextmanager
def started(connections: int, endpoints: str = "", descriptors_: int = 0) -> Iterator[Target]:
    """Run a daemon with room for so many connections, or with so many descriptors in all.

    Raises:
        SystemExit: this machine does not allow so many descriptors.
    """
    needed = descriptors_ or connections + _OWN
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if max(needed, connections + 100) > hard:
        sys.exit(
            f"soak: {needed} descriptors are needed, and this machine allows {hard} (ulimit -Hn)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    directory = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    directory.chmod(0o755)
    daemon = Daemon(directory)
    daemon.launcher = ["prlimit", f"--nofile={needed}:{needed}"]
    (directory / "sitecustomize.py").write_text(_WITNESS, "utf-8")
    daemon.environment["PYTHONPATH"] = f"{directory}:{CHECKOUT}"
    room = (
        f"max_connections = {max(connections, 1)}\nmax_connections_per_user = 0\nbacklog = 4096\n"
    )
    daemon.configure(
        f'[endpoints.stream]\ntype = "stream"\nmode = "0666"\n{room}'
        f'[endpoints.sequence]\ntype = "seqpacket"\nmode = "0666"\n{room}'
        f'[endpoints.datagram]\ntype = "datagram"\nmode = "0666"\n{endpoints}'
    )
    try:
        daemon.start()
        yield Target(daemon)
        if daemon.stop() != 0:
            sys.exit(
                f"soak: the daemon ended badly: {daemon.log.read_text(encoding='utf-8')[-2000:]}"
            )
    finally:
        daemon.kill()
        shutil.rmtree(directory, ignore_errors=True)
