"""Clients under load, for the machine: `clients.py PATH COUNT RESULT [crashes]`; ends at SIGUSR1.

Each client sends an endless text of numbered lines, cut anywhere, and knows the replies to the
byte. One in twenty does not read before the end, so that replies are unsent as well. With `crashes`
a line may get no reply, and is counted; but whatever comes has to be the whole reply to a line that
was sent and is later than the one before. Meanwhile new
clients connect, one after the other. RESULT appears when all are connected and have been answered,
and again, with the figures, at the end. It runs by itself: nothing of this checkout is there.
"""

import json
import random
import re
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

PAUSE = 0.1  # seconds between two turns of a client
DEADLINE = 30.0


class Client:
    def __init__(self, path: str, number: int) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.setblocking(False)
        self.number = number
        self.silent = number % 20 == 19
        self.lines = 0  # begun
        self.unsent = b""
        self.expected = b""  # of lines that have been begun, not received yet
        self.answered = 0
        self.fault = ""

    def begin_line(self) -> None:
        self.lines += 1
        line = f"client {self.number} line {self.lines}\n".encode()
        self.unsent += line
        self.expected += b"Hi, " + line

    def send(self, size: int) -> None:
        while len(self.unsent) < size:
            self.begin_line()
        try:
            self.unsent = self.unsent[self.sock.send(self.unsent[:size]) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self.fault = self.fault or f"send: {error}"

    @property
    def waits(self) -> bool:
        return bool(self.expected) and not self.fault

    def receive(self) -> None:
        try:
            data = self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError as error:
            self.fault = self.fault or f"recv: {error}"
            return
        if not data:
            self.fault = self.fault or "end of file"
        else:
            self.check(data)

    def check(self, data: bytes) -> None:
        if self.expected.startswith(data):
            self.expected = self.expected[len(data) :]
            self.answered += data.count(b"\n")
        else:
            self.fault = self.fault or f"wrong: {data[:80]!r} instead of {self.expected[:80]!r}"

    def say_goodbye(self) -> None:
        """Nothing is missing."""


class Survivor(Client):
    """A client of a server that crashes: it goes on with its next line when one gets no reply."""

    def __init__(self, path: str, number: int) -> None:
        super().__init__(path, number)
        self.silent = False
        self.last = 0  # the line that was answered last
        self.goodbye = 0
        self.reply = b""  # the beginning of one

    @property
    def waits(self) -> bool:
        return self.last < self.goodbye and not self.fault

    def check(self, data: bytes) -> None:
        self.expected = b""
        *replies, self.reply = (self.reply + data).split(b"\n")
        for reply in replies:
            known = re.fullmatch(rb"Hi, client (\d+) line (\d+)", reply)
            line = int(known[2]) if known and int(known[1]) == self.number else 0
            if self.last < line <= self.lines:
                self.last = line
                self.answered += 1
            else:
                self.fault = self.fault or f"wrong: {reply!r} after line {self.last}"

    def say_goodbye(self) -> None:
        """Two lines more: the first may be taken for the end of one that was lost."""
        self.begin_line()
        self.begin_line()
        self.goodbye = self.lines


def connect_again_and_again(path: str, end: threading.Event, told: dict[str, object]) -> None:
    connects, slowest, faults = 0, 0.0, []
    while not end.is_set():
        began = time.monotonic()
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(DEADLINE)
                sock.connect(path)
                sock.sendall(b"new\n")
                reply = sock.recv(100)
        except OSError as error:
            faults.append(str(error))
        else:
            connects += 1
            if reply != b"Hi, new\n":
                faults.append(repr(reply))
        slowest = max(slowest, time.monotonic() - began)
        end.wait(0.01)
    told.update(connects=connects, slowest_connect=slowest, connect_faults=faults)


class Crowd:
    def __init__(self, path: str, count: int, kind: type[Client]) -> None:
        self.clients = [kind(path, number) for number in range(count)]
        self.selector = selectors.DefaultSelector()
        for client in self.clients:
            if not client.silent:
                self.selector.register(client.sock, selectors.EVENT_READ, client)

    def work(self, end: threading.Event, began: Callable[[], object]) -> None:
        chance = random.Random(1)  # noqa: S311 - where the text is cut: the same each time
        waiting = True
        while not end.is_set():
            turn = time.monotonic() + PAUSE
            for client in self.clients:
                client.send(20000 if client.silent else chance.randrange(1, 100))
            while (left := turn - time.monotonic()) > 0:
                self.receive(left)
            if waiting and all(client.answered or client.silent for client in self.clients):
                waiting = False
                began()

    def finish(self) -> None:
        for client in self.clients:
            if client.silent:
                self.selector.register(client.sock, selectors.EVENT_READ, client)
        for client in self.clients:
            client.say_goodbye()
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            waiting = [client for client in self.clients if client.waits]
            if not waiting:
                break
            for client in waiting:
                if client.unsent:
                    client.send(len(client.unsent))
            self.receive(PAUSE)

    def receive(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            key.data.receive()
            if key.data.fault:
                self.selector.unregister(key.fileobj)


def main(path: str, count: int, result: Path, kind: type[Client]) -> None:
    end = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: end.set())
    crowd = Crowd(path, count, kind)
    told: dict[str, object] = {}
    thread = threading.Thread(target=connect_again_and_again, args=(path, end, told))
    thread.start()
    crowd.work(end, lambda: result.write_text("{}"))
    crowd.finish()
    thread.join()
    told.update(
        lines=sum(client.lines for client in crowd.clients),
        answered=sum(client.answered for client in crowd.clients),
        faults=[f"{client.number}: {client.fault}" for client in crowd.clients if client.fault],
        unanswered=sum(client.waits for client in crowd.clients),
    )
    new = result.with_suffix(".new")
    new.write_text(json.dumps(told))
    new.replace(result)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Survivor if sys.argv[4:] else Client)
