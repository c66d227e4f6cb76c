"""Four small programs that behave like the tutorial's, including their faults.

Each can be run by hand instead of the tutorial's: ``python3 -m localechod.lab.programs``. They
print two things more: when a server is ready for clients, and an error of read(2), which the
tutorial's programs mistake for data.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NoReturn

RECORD = 4096
"""Bytes that the stream programs write for each message, however short."""


def show(text: str) -> None:
    """Print a line at once, bypassing any buffer that the process inherited from its parent."""
    os.write(1, text.encode() + b"\n")


def failed(action: str, error: OSError) -> NoReturn:
    """Exit with an error message like that of C programs."""
    show(f"{action} failed: {error.strerror} ({error.errno})")
    sys.exit(1)


def typed() -> Iterator[str]:
    """Yield the lines of standard input until end of file (Ctrl-D)."""
    unread = b""
    while data := os.read(0, RECORD):
        *lines, unread = (unread + data).split(b"\n")
        for line in lines:
            yield line.decode()


def record(text: bytes) -> bytes:
    """Return a text as the tutorial's programs send it: a C string in a fixed-size record."""
    return text[: RECORD - 1].ljust(RECORD, b"\0")


def streamserver(path: str) -> None:
    """Serve one client, reply to each read, and return when a read returns 0."""
    listener = _bind(socket.SOCK_STREAM, path)
    listener.listen(1024)
    show("(listening)")
    connection, _ = listener.accept()
    while True:
        try:
            data = connection.recv(RECORD)
        except OSError as error:  # -1 is not 0: the tutorial's program continues as if it had read
            show(f"read failed: {error.strerror} ({error.errno})")
            data = b"\0"
        if not data:
            show("client quit")
            return
        text = data.partition(b"\0")[0].removesuffix(b"\n")
        show(f"Receive: {text.decode()}")
        connection.sendall(record(b"Hi, " + text + b"\n"))


def streamclient(path: str) -> None:
    """Send each line as a record, and print the reply."""
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
    """Reply to each datagram; mistake an empty one for the client's exit, and return."""
    sock = _bind(socket.SOCK_DGRAM, path)
    show("(bound)")
    while True:
        data, client = sock.recvfrom(RECORD)
        if not data:
            show("client quit")
            return
        show(f"Receive: {data.decode()}")
        show(f"now sending: Hi, {data.decode()}")
        try:
            # Without an address this sends to the connected peer, and there is none (ENOTCONN).
            sock.sendto(b"Hi, " + data, client) if client else sock.send(b"Hi, " + data)
        except OSError as error:
            failed("sendto", error)


def dataclient(path: str, own: str) -> None:
    """Send each line from a bound address, and print the reply."""
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


def _bind(kind: int, path: str) -> socket.socket:
    """Bind as the tutorial's servers do: unlink whatever is at the path, then bind."""
    sock = socket.socket(socket.AF_UNIX, kind)
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108 - unlink(2) of the path as it was given
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
"""The programs by name, each with the number of its arguments, which are paths."""


def main(args: list[str]) -> int:
    """Run a program by hand; return the exit status."""
    import signal  # noqa: PLC0415 - only for this; in the lab, the process module sets the signals

    program, paths = PROGRAMS.get(args[0] if args else "", (None, 0))
    if program is None or len(args) != 1 + paths:
        sys.stderr.write(
            "usage: programs streamserver|streamclient|dataserver PATH\n"
            "   or: programs dataclient PATH OWN_PATH\n"
        )
        return 2
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)  # as in a C program
    program(*args[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
