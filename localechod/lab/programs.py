"""Four small peers that behave as the article's programs do, weaknesses included.

Each can be run by hand, in place of the article's: ``python3 -m localechod.lab.programs``. They
show two things more than those: when a server may be connected to, and an error that read(2)
returns, which the article's programs take for data.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NoReturn

RECORD = 4096
"""Bytes that the stream peers write for each message, however short."""


def show(text: str) -> None:
    """Show one line at once, whatever the process inherited as its standard output."""
    os.write(1, text.encode() + b"\n")


def failed(action: str, error: OSError) -> NoReturn:
    """End, with the words that programs in C have for it."""
    show(f"{action} failed: {error.strerror} ({error.errno})")
    sys.exit(1)


def typed() -> Iterator[str]:
    """Yield the lines that are typed, until Ctrl-D."""
    unread = b""
    while data := os.read(0, RECORD):
        *lines, unread = (unread + data).split(b"\n")
        for line in lines:
            yield line.decode()


def record(text: bytes) -> bytes:
    """Return a text as the C string of a fixed-size record, which is what goes over the wire."""
    return text[: RECORD - 1].ljust(RECORD, b"\0")


def streamserver(path: str) -> None:
    """Serve one client, answer each read, end when a read returns 0."""
    listener = _bound(socket.SOCK_STREAM, path)
    listener.listen(1024)
    show("(listening)")
    connection, _ = listener.accept()
    while True:
        try:
            data = connection.recv(RECORD)
        except OSError as error:  # -1 is not 0: the article's program goes on as if it had read
            show(f"read failed: {error.strerror} ({error.errno})")
            data = b"\0"
        if not data:
            show("client quit")
            return
        text = data.partition(b"\0")[0].removesuffix(b"\n")
        show(f"Receive: {text.decode()}")
        connection.sendall(record(b"Hi, " + text + b"\n"))


def streamclient(path: str) -> None:
    """Send each line as a record and show the reply."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError as error:
        failed("connect", error)
    for line in typed():
        sock.sendall(record(line.encode() + b"\n"))
        try:
            reply = sock.recv(RECORD, socket.MSG_WAITALL)
        except OSError as error:
            failed("read", error)
        if not reply:
            show("server terminated prematurely")
            sys.exit(1)
        show(reply.partition(b"\0")[0].decode().rstrip("\n"))


def dataserver(path: str) -> None:
    """Answer each datagram; take an empty one for the client's end, and end."""
    sock = _bound(socket.SOCK_DGRAM, path)
    show("(bound)")
    while True:
        data, client = sock.recvfrom(RECORD)
        if not data:
            show("client quit")
            return
        show(f"Receive: {data.decode()}")
        show(f"now sending: Hi, {data.decode()}")
        try:
            # Without an address, the kernel is told to send to the peer; there is none.
            sock.sendto(b"Hi, " + data, client) if client else sock.send(b"Hi, " + data)
        except OSError as error:
            failed("sendto", error)


def dataclient(path: str, own: str) -> None:
    """Send each line from an address of its own, and show the reply."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.bind(own)
    except OSError as error:
        failed("bind", error)
    for line in typed():
        show(f"now sending {line}")
        try:
            sock.sendto(line.encode(), path)
        except OSError as error:
            failed("sendto", error)
        show(sock.recv(RECORD).decode())


def _bound(kind: int, path: str) -> socket.socket:
    """Bind as the article's servers do: remove what stands there, then see."""
    sock = socket.socket(socket.AF_UNIX, kind)
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108 - unlink(2), on the words of the command line
    try:
        sock.bind(path)
    except OSError as error:
        failed("bind", error)
    return sock


PROGRAMS: dict[str, tuple[Callable[..., None], int]] = {
    "streamserver": (streamserver, 1),
    "streamclient": (streamclient, 1),
    "dataserver": (dataserver, 1),
    "dataclient": (dataclient, 2),
}
"""The peers, each with how many paths it takes."""


def main(words: list[str]) -> int:
    """Run a peer by hand; return the exit status."""
    import signal  # noqa: PLC0415 - in the lab somebody else has seen to it

    peer, paths = PROGRAMS.get(words[0] if words else "", (None, 0))
    if peer is None or len(words) != 1 + paths:
        sys.stderr.write(
            "usage: programs streamserver|streamclient|dataserver PATH\n"
            "   or: programs dataclient PATH OWN_PATH\n"
        )
        return 2
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)  # as a program in C has them
    peer(*words[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
