"""Small servers in threads, to which `localechoctl send` talks."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TYPES = {
    "stream": socket.SOCK_STREAM,
    "datagram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
}

Capture = pytest.CaptureFixture[bytes]


def greet(sock: socket.socket) -> None:
    """Answer each read with a greeting, as the endpoints do."""
    while data := sock.recv(65536):
        sock.sendall(b"Hi, " + data)


@contextmanager
def listening(
    path: Path, peer: Callable[[socket.socket], object] = greet, kind: str = "stream"
) -> Iterator[str]:
    """Serve one client after the other in a thread; yield the path."""
    stop = threading.Event()
    with socket.socket(socket.AF_UNIX, TYPES[kind]) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()

        def run() -> None:
            while True:
                client, _ = listener.accept()
                with client:
                    if stop.is_set():
                        return
                    peer(client)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield str(path)
        finally:
            stop.set()
            with socket.socket(socket.AF_UNIX, TYPES[kind]) as last:
                last.connect(str(path))
            thread.join(10)
    assert not thread.is_alive()


@contextmanager
def receiving(
    path: Path, answer: Callable[[bytes], bytes | None] = lambda text: b"Hi, " + text
) -> Iterator[str]:
    """Answer datagrams in a thread; None stays silent; yield the path."""
    end = os.urandom(16)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        path.chmod(0o666)

        def run() -> None:
            while True:
                text, sender = sock.recvfrom(1 << 20)
                if text == end:
                    return
                reply = answer(text)
                if reply is not None:
                    sock.sendto(reply, sender)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield str(path)
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(end, str(path))
            thread.join(10)
    assert not thread.is_alive()
