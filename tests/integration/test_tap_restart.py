"""localechoctl tap while its server goes, and another one comes to the same address."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.integration.harness import CHECKOUT, receive
from tests.integration.taps import TAP, client, run

U = socket.AF_UNIX

# A line of standard input is awaited at each step, so that the test decides the order.
CONNECTED = """
def step(what):
    print(what, flush=True)
    sys.stdin.readline()
def connect():
    s = socket.socket(U, int(sys.argv[2]))
    s.connect(sys.argv[1])
    s.send(b"hello")
    return s
old = connect()
print(old.recv(10))
step("connected")
print(old.recv(10))
try:
    old.send(b"late")
except OSError as error:
    print(error.errno)
try:
    connect()
except OSError as error:
    print(error.errno)
step("gone")
new = connect()
print(new.recv(10))
"""
SENT = """
s = socket.socket(U, socket.SOCK_DGRAM)
s.bind("")
s.settimeout(20)
def step(what):
    print(what, flush=True)
    sys.stdin.readline()
def ask():
    try:
        s.sendto(b"hello", sys.argv[1])
        print(s.recv(10))
    except OSError as error:
        print(error.errno)
ask()
step("asked")
ask()
step("gone")
ask()
"""


class Talk:
    """A client that waits at each step until it is told to go on."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, cwd=CHECKOUT,
        )  # fmt: skip
        self.said = ""

    def wait_for(self, word: str) -> None:
        assert self.process.stdout is not None
        while not self.said.endswith(f"{word}\n"):
            line = self.process.stdout.readline()
            assert line, self.said
            self.said += line

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> str:
        said = self.said + self.process.communicate(timeout=60)[0]
        assert self.process.returncode == 0
        return said


def bound(path: Path, type_: int) -> socket.socket:
    server = socket.socket(U, type_)
    server.settimeout(20)
    server.bind(str(path))
    if type_ != socket.SOCK_DGRAM:
        server.listen()
    return server


def answer(server: socket.socket, word: bytes) -> socket.socket:
    peer = server.accept()[0]
    assert receive(peer, 5) == b"hello"
    peer.send(word)
    return peer


@pytest.mark.skipif(not shutil.which("tshark"), reason="not installed: tshark")
@pytest.mark.parametrize("type_", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_server_that_is_started_again_while_a_connection_is_open(
    sockdir: Path, type_: int
) -> None:
    """The old connection ends as without the tap, and the next one leads to the new socket."""
    path, file = sockdir / "s", sockdir / "x.pcapng"
    outputs = []
    for tap in ([], [*TAP, str(path), "--write", str(file), "--"]):
        server = bound(path, type_)
        talk = Talk([*tap, *client(CONNECTED, path, int(type_))])
        peer = answer(server, b"old")
        talk.wait_for("connected")
        peer.close()
        server.close()
        talk.go_on()
        talk.wait_for("gone")
        path.unlink()
        with bound(path, type_) as server:
            talk.go_on()
            with answer(server, b"new"):
                outputs.append(talk.end())
        path.unlink()
    assert outputs == ["b'old'\nconnected\nb''\n32\n111\ngone\nb'new'\n"] * 2
    # tshark 4.4 has a dissector for port 9 (discard), which names no data.
    field = "tcp.payload" if type_ == socket.SOCK_STREAM else "data.data"
    read = run(["tshark", "-r", str(file), "-T", "fields", "-e", field, "-e", "_ws.malformed"])
    assert read.returncode == 0
    data = [line.strip() for line in read.stdout.splitlines() if line.strip()]
    assert data == [word.hex() for word in (b"hello", b"old", b"hello", b"new")]


def test_a_server_that_is_replaced_between_two_connections(sockdir: Path) -> None:
    """The old server listens on at a socket that has no file any more."""
    path = sockdir / "s"
    before, step, _ = CONNECTED.partition('step("connected")')
    script = f"{before}{step}\nnew = connect()\nprint(new.recv(10))"
    with bound(path, socket.SOCK_STREAM) as server:
        talk = Talk([*TAP, str(path), "--", *client(script, path, 1)])
        with answer(server, b"old"):
            talk.wait_for("connected")
            path.unlink()
            with bound(path, socket.SOCK_STREAM) as new:
                talk.go_on()
                with answer(new, b"new"):
                    assert talk.end() == "b'old'\nconnected\nb'new'\n"


def test_a_datagram_server_that_is_started_again(sockdir: Path) -> None:
    """Each datagram goes to the socket that is bound by then, or is refused as without the tap."""
    path = sockdir / "d"

    def reply(word: bytes) -> None:
        data, name = server.recvfrom(10)
        assert data == b"hello"
        server.sendto(word, name)

    outputs = []
    for tap in ([], [*TAP, str(path), "--"]):
        server = bound(path, socket.SOCK_DGRAM)
        talk = Talk([*tap, *client(SENT, path)])
        reply(b"old")
        talk.wait_for("asked")
        server.close()
        talk.go_on()
        talk.wait_for("gone")
        path.unlink()
        with bound(path, socket.SOCK_DGRAM) as server:
            talk.go_on()
            reply(b"new")
            outputs.append(talk.end())
        path.unlink()
    assert outputs == ["b'old'\nasked\n111\ngone\nb'new'\n"] * 2
