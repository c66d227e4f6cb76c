"""Passed descriptors (SCM_RIGHTS) never stay with the daemon, whatever they came along with."""

import array
import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.harness import OWN_ACCOUNT, Daemon, descriptors, receive, until

STREAM, DATAGRAM, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET


def passing(sock: socket.socket, message: bytes, count: int) -> None:
    """Send a message with so many descriptors."""
    with Path(os.devnull).open("rb") as null:
        rights = array.array("i", [null.fileno()] * count)
        sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (STREAM, 'type = "stream"\n'),
        (STREAM, 'type = "stream"\nframing = "record"\n'),
        (STREAM, 'type = "stream"\nframing = "chunk"\n'),
        (SEQPACKET, 'type = "seqpacket"\n'),
        (SEQPACKET, 'type = "seqpacket"\nmax_message = 6\n'),
        (DATAGRAM, 'type = "datagram"\n'),
        (DATAGRAM, 'type = "datagram"\nmax_message = 6\n'),
        (DATAGRAM, f'type = "datagram"\nallow = ["{OWN_ACCOUNT}"]\n'),
    ],
    ids=[
        "line",
        "record",
        "chunk",
        "seqpacket",
        "long-record",
        "datagram",
        "long-datagram",
        "allow",
    ],
)
def test_they_never_leak(daemon: Daemon, kind: int, keys: str) -> None:
    def record(message: bytes) -> bytes:
        return message.ljust(4096, b"\0") if "record" in keys else message

    daemon.configure(f'[endpoints.a]\nmode = "0666"\n{keys}')
    daemon.start()
    with daemon.connect("a", kind) as sock:
        if kind == DATAGRAM:
            sock.bind("")
        sock.send(record(b"first\n"))
        assert sock.recv(4096).startswith(b"Hi, first")
        before = descriptors(daemon.pid)
        for count in [1, 2, 3, 4, 5, 100] * 20:
            passing(sock, record(b"message\n"), count)
            if "max_message" not in keys:
                assert sock.recv(4096).startswith(b"Hi, message")
        sock.send(record(b"last\n"))
        assert sock.recv(4096).startswith(b"Hi, last")
        # "before" may have met the notify socket, which is open for the length of one message.
        until(lambda: descriptors(daemon.pid) <= before)


def test_nor_do_those_that_nobody_has_read_when_the_connection_closes(daemon: Daemon) -> None:
    daemon.configure('[endpoints.a]\ntype = "stream"\nmode = "0666"\nmax_message = 8\n')
    daemon.start()
    with daemon.connect("a") as other:
        other.sendall(b"x\n")
        assert receive(other, 6) == b"Hi, x\n"
        before = descriptors(daemon.pid)
        for _ in range(20):
            with daemon.connect("a") as sock, suppress(BrokenPipeError):
                for _ in range(5):
                    passing(sock, b"too long for this endpoint", 5)
        until(lambda: daemon.row("a")["connections"] == 1)
        until(lambda: descriptors(daemon.pid) == before)


@pytest.mark.parametrize("kind", [STREAM, SEQPACKET], ids=["stream", "seqpacket"])
def test_a_client_that_passes_its_own_socket_and_leaves_is_closed_by_idle_timeout(
    daemon: Daemon, kind: int
) -> None:
    name = "stream" if kind == STREAM else "seqpacket"
    daemon.configure(f'[endpoints.a]\ntype = "{name}"\nmode = "0666"\nidle_timeout = 2.0\n')
    daemon.start()
    with daemon.connect("a", kind) as sock:
        # Without reading, until the daemon cannot send and reads no more: then its own socket,
        # which lies there unread and keeps this end open when nobody has it any longer.
        sock.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                sock.send(b"x" * 999 + b"\n")
        until(lambda: daemon.row("a")["messages_total"] > 0)
        with suppress(BlockingIOError):
            while True:
                socket.send_fds(sock, [b"y\n"], [sock.fileno()])
    until(lambda: daemon.errors("a").get("idle_timeout") == 1)
    until(lambda: daemon.row("a")["connections"] == 0)
