"""A client of quiet endpoints or of the control socket, who notes how long each reply takes.

`python -m tests.attacks.alice endpoints|status DIRECTORY RESULT UID`, as root: the process becomes
this user. At SIGTERM, RESULT gets a list of what answers.Answer has. A process that asked for both
would ask no endpoint while it waits for a status.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from localechod.errors import SocketError
from localechod.localsocket.address import Address
from localechod.localsocket.connect import connect
from tests.attacks.answers import STATUS
from tests.attacks.frames import END_STREAM, PREFACE, WINDOW, call, frame

UID = 60_999
_PERIOD = 0.01  # seconds
_DEADLINE = 60.0
_NEW_CONNECTION = 50  # rounds


class Echo:
    """A connection to a quiet endpoint, or a socket with a name that any other can send to."""

    def __init__(self, path: Path, kind: int, name: str | bytes = b"") -> None:
        self._path = str(path)
        self._sock = socket.socket(socket.AF_UNIX, kind)
        self._sock.settimeout(_DEADLINE)
        if name:
            self._sock.bind(name)
        else:
            self._sock.connect(self._path)
        self._named = bool(name)

    def __call__(self) -> None:
        """Ask once."""
        if self._named:
            self._sock.sendto(b"hello\n", self._path)
        else:
            self._sock.send(b"hello\n")
        reply = self._sock.recv(100)
        if reply != b"Hi, hello\n":
            raise AssertionError(f"a wrong reply: {reply!r}")

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


class Status:
    """A connection to the control socket, a new one now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream = -1
        self._sock = socket.socket()
        self.phases: dict[str, float] = {}

    def __call__(self) -> None:
        """Ask for the status of one endpoint, and note in `phases` what took how many seconds."""
        self.phases = {}
        self._at = time.monotonic()
        new = self._stream < 0 or self._stream > 2 * _NEW_CONNECTION
        if new:
            self._sock.close()
            # As localechoctl does: where the backlog is full, it waits in the kernel.
            address = Address.parse(str(self._path))
            self._sock = connect(address, socket.SOCK_STREAM, _DEADLINE).sock
            self._sock.settimeout(_DEADLINE)
            self._sock.sendall(PREFACE + frame(WINDOW, 0, 0, (1 << 20).to_bytes(4, "big")))
            self._stream = -1
            self._ends("connect")
        self._stream += 2
        self._sock.sendall(call(self._stream, "Status", b"\x0a\x05quiet"))
        if new:
            self._sock.recv(1, socket.MSG_PEEK)
            self._ends("accept")
        self._answer()
        self._ends("answer")

    def _ends(self, phase: str) -> None:
        now = time.monotonic()
        self.phases[phase], self._at = now - self._at, now

    def _answer(self) -> None:
        while True:
            head = self._take(9)
            payload = self._take(int.from_bytes(head[:3], "big"))
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind in {3, 7}:
                raise AssertionError(f"refused: {head + payload!r}")
            if flags & END_STREAM and kind < 2 and stream == self._stream:
                return

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._sock.recv(size - len(data))
            if not part:
                raise AssertionError("the control socket hung up")
            data += part
        return data


class Asker:
    """Asks one thing over and over; begins anew after a failure."""

    def __init__(self, make: Callable[[], Echo | Status]) -> None:
        self._make = make
        self._client: Echo | Status | None = None

    def ask(self) -> str:
        """Ask once; return what was wrong, or "" ."""
        try:
            if self._client is None:
                self._client = self._make()
            self._client()
        except (OSError, SocketError, AssertionError) as error:
            if self._client is not None:
                self._client.close()
            self._client = None
            return str(error) or type(error).__name__
        return ""

    def phases(self) -> dict[str, float]:
        """Return what took how many seconds of the last request for a status."""
        return self._client.phases if isinstance(self._client, Status) else {}


def _endpoints(directory: Path) -> dict[str, Asker]:
    own = directory.parent / "alice"
    name = f"\0localechod-{directory.parent.name}-alice".encode()
    paths = (str(own / f"{number}") for number in count())
    stream, sequence = directory / "quiet.sock", directory / "quiet-sequence.sock"
    datagram = directory / "quiet-datagram.sock"
    return {
        "stream": Asker(lambda: Echo(stream, socket.SOCK_STREAM)),
        "seqpacket": Asker(lambda: Echo(sequence, socket.SOCK_SEQPACKET)),
        "path": Asker(lambda: Echo(datagram, socket.SOCK_DGRAM, next(paths))),
        "name": Asker(lambda: Echo(datagram, socket.SOCK_DGRAM, name)),
    }


def _status(directory: Path) -> dict[str, Asker]:
    return {STATUS: Asker(lambda: Status(directory / "control.sock"))}


def main() -> None:
    """Ask a hundred times a second, until SIGTERM."""
    what = sys.argv[1]
    directory, result = map(Path, sys.argv[2:4])
    uid = int(sys.argv[4])
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    with result.open("w", encoding="utf-8") as output:
        # She is never kept waiting by an attacker, which might have the same processor: sched(7).
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.umask(0)  # the daemon has to be able to write to the socket that it answers
        askers = _endpoints(directory) if what == "endpoints" else _status(directory)
        seen = []
        while not ended:
            now = time.monotonic()
            for name, asker in askers.items():
                before = time.monotonic()
                failure = asker.ask()
                seen.append((before, name, time.monotonic() - before, failure, asker.phases()))
            time.sleep(max(0.0, now + _PERIOD - time.monotonic()))
        json.dump(seen, output)


if __name__ == "__main__":
    main()
