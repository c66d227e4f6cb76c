"""Passed descriptors (SCM_RIGHTS) neither stay with the daemon nor stop it, whatever they are.

From Linux 6.16 on the kernel refuses them. The daemon on an older kernel is one that uses an option
which no kernel has.
"""

import array
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.harness import OWN_ACCOUNT, Daemon, descriptors, receive, until

STREAM, DATAGRAM, SEQPACKET = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET

OLD_KERNEL = """
import sys
from localechod.localsocket import rights
rights._SO_PASSRIGHTS = 9999
sys.argv[1:] = sys.argv[sys.argv.index("localechod.daemon") + 1:]
from localechod.daemon.__main__ import main
sys.exit(main())
"""

LINGER = 60  # seconds: longer than any test waits


@pytest.fixture
def older(daemon: Daemon) -> Daemon:
    """A daemon on a kernel without SO_PASSRIGHTS."""
    daemon.launcher = [sys.executable, "-c", OLD_KERNEL]
    return daemon


def passing(sock: socket.socket, message: bytes, count: int) -> None:
    """Send a message with so many descriptors."""
    with Path(os.devnull).open("rb") as null:
        rights = array.array("i", [null.fileno()] * count)
        sock.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


@contextmanager
def passed_lingering(daemon: Daemon, sock: socket.socket) -> Iterator[None]:
    """Pass the last descriptor of a TCP socket with unsent bytes, whose close(2) waits.

    The daemon is stopped meanwhile, so that it does not read the message too early.
    """
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.create_connection(server.getsockname()))
        stack.enter_context(server.accept()[0])
        client.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                client.send(bytes(65536))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER))
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            socket.send_fds(sock, [b"x\n"], [client.fileno()])
        except PermissionError:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(8))
        client.close()
        os.kill(daemon.pid, signal.SIGCONT)
        yield


def refuses(sock: socket.socket) -> bool:
    """Whether the kernel refuses descriptors to the daemon."""
    try:
        passing(sock, b"message\n", 1)
    except PermissionError:
        return True
    return False


@pytest.mark.parametrize("name", ["stream", "seqpacket", "datagram", "control"])
def test_the_kernel_refuses_them(daemon: Daemon, name: str) -> None:
    kind = {"seqpacket": SEQPACKET, "datagram": DATAGRAM}.get(name, STREAM)
    if name != "control":
        daemon.configure(f'[endpoints.{name}]\nmode = "0666"\ntype = "{name}"\n')
    else:
        daemon.configure('[endpoints.a]\ntype = "stream"\n')
    daemon.start()
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.getsockopt(socket.SOL_SOCKET, 83)
        except OSError:
            pytest.skip("needs Linux 6.16")
    with daemon.connect(name, kind) as sock:
        assert refuses(sock)


@pytest.mark.parametrize("name", ["stream", "datagram"])
def test_a_descriptor_that_takes_a_minute_to_release_delays_nobody(
    daemon: Daemon, name: str
) -> None:
    kind = DATAGRAM if name == "datagram" else STREAM
    serves_in_spite_of(daemon, name, kind)


@pytest.mark.parametrize("name", ["stream", "datagram"])
def test_nor_does_it_on_an_older_kernel(older: Daemon, name: str) -> None:
    kind = DATAGRAM if name == "datagram" else STREAM
    serves_in_spite_of(older, name, kind)


def serves_in_spite_of(daemon: Daemon, name: str, kind: int) -> None:
    """Pass such descriptors, and see that another client is answered in time."""
    daemon.configure(
        f'[endpoints.{name}]\nmode = "0666"\ntype = "{name}"\n[endpoints.quiet]\ntype = "stream"\n'
    )
    daemon.start()
    with daemon.connect(name, kind) as sock, daemon.connect("quiet") as other:
        for _ in range(3):
            with passed_lingering(daemon, sock):
                other.sendall(b"hello\n")
                assert receive(other, 10) == b"Hi, hello\n"


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
def test_they_never_leak(older: Daemon, kind: int, keys: str) -> None:
    def record(message: bytes) -> bytes:
        return message.ljust(4096, b"\0") if "record" in keys else message

    older.configure(f'[endpoints.a]\nmode = "0666"\n{keys}')
    older.start()
    with older.connect("a", kind) as sock:
        if kind == DATAGRAM:
            sock.bind("")
        sock.send(record(b"first\n"))
        assert sock.recv(4096).startswith(b"Hi, first")
        before = descriptors(older.pid)
        for count in [1, 2, 3, 4, 5, 100] * 20:
            passing(sock, record(b"message\n"), count)
            if "max_message" not in keys:
                assert sock.recv(4096).startswith(b"Hi, message")
        sock.send(record(b"last\n"))
        assert sock.recv(4096).startswith(b"Hi, last")
        # "before" may have met the notify socket, which is open for the length of one message.
        until(lambda: descriptors(older.pid) <= before)


def test_nor_do_those_that_nobody_has_read_when_the_connection_closes(older: Daemon) -> None:
    older.configure('[endpoints.a]\ntype = "stream"\nmode = "0666"\nmax_message = 8\n')
    older.start()
    with older.connect("a") as other:
        other.sendall(b"x\n")
        assert receive(other, 6) == b"Hi, x\n"
        before = descriptors(older.pid)
        for _ in range(20):
            with older.connect("a") as sock, suppress(BrokenPipeError):
                for _ in range(5):
                    passing(sock, b"too long for this endpoint", 5)
        until(lambda: older.row("a")["connections"] == 1)
        until(lambda: descriptors(older.pid) == before)


@pytest.mark.parametrize("kind", [STREAM, SEQPACKET], ids=["stream", "seqpacket"])
def test_a_client_that_passes_its_own_socket_and_leaves_is_closed_by_idle_timeout(
    older: Daemon, kind: int
) -> None:
    name = "stream" if kind == STREAM else "seqpacket"
    older.configure(f'[endpoints.a]\ntype = "{name}"\nmode = "0666"\nidle_timeout = 2.0\n')
    older.start()
    with older.connect("a", kind) as sock:
        # Without reading, until the daemon cannot send and reads no more: then its own socket,
        # which lies there unread and keeps this end open when nobody has it any longer.
        sock.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                sock.send(b"x" * 999 + b"\n")
        until(lambda: older.row("a")["messages_total"] > 0)
        with suppress(BlockingIOError):
            while True:
                socket.send_fds(sock, [b"y\n"], [sock.fileno()])
    until(lambda: older.errors("a").get("idle_timeout") == 1)
    until(lambda: older.row("a")["connections"] == 0)
