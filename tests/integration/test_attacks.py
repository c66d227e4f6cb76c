"""An ordinary user against the service: others are served, and memory and log stay small."""

import subprocess
import sys

import pytest

from tests.integration.harness import CHECKOUT, Daemon, needs_root, receive, resident

GAMES, GAMES_GROUP = 5, 60  # an ordinary user of every Debian
MIB = 1 << 20

# Sends frames to the control socket over and over, on many connections, and connects again where it
# is refused. Its arguments: the socket, the kind of frame, how many times.
FLOOD = r"""
import socket, sys
path, kind, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])

def frame(kind, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, 4 * (kind == 1)]) + stream.to_bytes(
        4, "big") + payload

def text(index, value):  # a header that is not indexed: RFC 7541, 6.2.2
    return index + bytes([len(value)]) + value

HEADERS = b"\x83\x86" + text(b"\x04", b"/localechod.v1.Control/Status") + text(
    b"\x0f\x10", b"application/grpc")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0)
FRAMES = {
    "reset": lambda n: frame(1, n, HEADERS) + frame(3, n, b"\0\0\0\x08"),
    "ping": lambda _: frame(6, 0, b"12345678"),
    "settings": lambda _: frame(4, 0),
    "window": lambda _: frame(8, 0, b"\0\0\0\1"),
    "unknown": lambda _: frame(200, 0, b"x"),
    "connect": lambda _: b"",
}
sockets, streams = [None] * 16, [1] * 16
refused = sent = 0
for _ in range(turns):
    for at, sock in enumerate(sockets):
        try:
            if sock is None:
                sock = sockets[at] = socket.socket(socket.AF_UNIX)
                streams[at] = 1
                sock.settimeout(5)
                sock.connect(path)
                sock.send(PREFACE)
            sent += sock.send(b"".join(FRAMES[kind](streams[at] + 2 * n) for n in range(100)))
            streams[at] += 200
            if kind == "connect":
                raise OSError
            sock.setblocking(False)
            while sock.recv(65536):
                pass
            raise OSError
        except BlockingIOError:
            sock.settimeout(5)
        except OSError:
            refused += 1
            sockets[at] = None
            sock.close()
print(sent, refused)
"""


@needs_root
@pytest.mark.parametrize("kind", ["reset", "ping", "settings", "window", "unknown", "connect"])
def test_floods_of_frames_cost_the_others_nothing(daemon: Daemon, kind: str) -> None:
    daemon.configure('[endpoints.quiet]\ntype = "stream"\nmode = "0666"\n')
    daemon.start()
    before = resident(daemon.pid)
    control = str(daemon.runtime / "control.sock")
    words = ["setpriv", f"--reuid={GAMES}", f"--regid={GAMES_GROUP}", "--clear-groups"]
    words += [sys.executable, "-I", "-c", FLOOD, control, kind, "60"]
    answered = 0
    with (
        daemon.connect("quiet") as alice,
        subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.PIPE) as mallory,
    ):
        while mallory.poll() is None:
            alice.sendall(b"x\n")
            assert receive(alice, 6) == b"Hi, x\n"
            answered += 1
        assert mallory.returncode == 0
        assert mallory.stdout is not None
        sent, refused = map(int, mallory.stdout.read().split())
    assert refused > 0
    assert answered > 0
    assert sent > 0 or kind == "connect"
    assert resident(daemon.pid) - before < 32 * MIB
    assert "byte_limit" in daemon.control_errors()  # root is not locked out
    lines = daemon.log.read_text(encoding="utf-8").splitlines()
    refusals = [line for line in lines if "control connection refused" in line]
    assert len(refusals) <= 3
    assert "refused: uid 5 " in refusals[0]
