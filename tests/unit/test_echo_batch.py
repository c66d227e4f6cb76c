"""Batches of datagrams: the kernel's structures laid out by hand, against real sockets."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localechod.echo.batch import Batch, slots

SIZE = 4097


@pytest.fixture
def server(sockdir: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(sockdir / "server"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.setblocking(False)
        yield sock


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def client(stack: ExitStack, server: socket.socket, name: bytes | str = b"") -> socket.socket:
    sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    sock.bind(name)  # b"": autobind, unix(7)
    sock.connect(server.getsockname())
    sock.settimeout(10)
    return sock


def test_each_sender_gets_its_own_datagram_behind_the_prefix(
    server: socket.socket, stack: ExitStack
) -> None:
    batch = Batch(SIZE, b"Hi, ")
    clients = [client(stack, server) for _ in range(5)]
    for turn in range(3):
        messages = [f"{turn} {number}".encode() * (1 + number) for number in range(5)]
        for sock, message in zip(clients, messages, strict=True):
            sock.send(message)
        assert batch.receive(server.fileno()) == 5
        assert batch.lengths() == [len(message) for message in messages]
        assert list(batch.abstract_names() or ()) == [sock.getsockname() for sock in clients]
        assert batch.answer(server.fileno()) == []
        for sock, message in zip(clients, messages, strict=True):
            assert sock.recv(SIZE) == b"Hi, " + message


def test_a_datagram_is_told_with_its_sender(
    server: socket.socket, stack: ExitStack, sockdir: Path
) -> None:
    batch = Batch(SIZE, b"")
    ourselves = (os.getpid(), os.getuid(), os.getgid())
    path = str(sockdir / "client-\udcff")
    client(stack, server, path).send(b"one\0two")
    client(stack, server).send(b"")
    unnamed = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    unnamed.connect(server.getsockname())
    unnamed.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
    unnamed.send(b"x" * SIZE * 2)
    assert batch.receive(server.fileno()) == 3
    assert batch.abstract_names() is None
    assert batch.datagram(0) == (b"one\0two", ourselves, path)
    message, peer, sender = batch.datagram(1)
    assert (message, peer) == (b"", ourselves)
    assert isinstance(sender, bytes)
    assert sender.startswith(b"\0")
    # Longer than it may be: as many bytes as there is room for, and by that it is known.
    assert batch.datagram(2) == (b"x" * SIZE, ourselves, None)


def test_names_of_paths_and_of_different_lengths_are_not_all_abstract(
    server: socket.socket, stack: ExitStack, sockdir: Path
) -> None:
    batch = Batch(SIZE, b"")
    for names in (b"\0" + os.urandom(8), str(sockdir / "a")), (b"\0" + os.urandom(8), b""):
        for name in names:
            client(stack, server, name).send(b"x")
        assert batch.receive(server.fileno()) == 2
        assert batch.abstract_names() is None


def test_one_that_cannot_be_delivered_stops_no_other(
    server: socket.socket, stack: ExitStack
) -> None:
    batch = Batch(SIZE, b"")
    clients = [client(stack, server) for _ in range(4)]
    for sock in clients:
        sock.send(b"x")
    clients[1].close()
    clients[2].close()
    assert batch.receive(server.fileno()) == 4
    assert batch.answer(server.fileno()) == [(1, errno.ECONNREFUSED), (2, errno.ECONNREFUSED)]
    assert clients[0].recv(9) == clients[3].recv(9) == b"x"


def test_nothing_waiting_is_an_empty_batch_and_what_follows_is_whole(
    server: socket.socket, stack: ExitStack
) -> None:
    batch = Batch(SIZE, b"")
    sock = client(stack, server)
    sock.send(b"short")
    assert batch.receive(server.fileno()) == 1
    assert batch.receive(server.fileno()) == 0
    sock.send(b"a longer one")
    assert batch.receive(server.fileno()) == 1
    assert batch.datagram(0)[0] == b"a longer one"


def test_a_passed_descriptor_finds_no_room(server: socket.socket, stack: ExitStack) -> None:
    batch = Batch(SIZE, b"")
    sock = client(stack, server)
    before = set(Path("/proc/self/fd").iterdir())
    socket.send_fds(sock, [b"x"], [0, 1, 2])
    assert batch.receive(server.fileno()) == 1
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_socket_that_is_none_is_an_error() -> None:
    with pytest.raises(OSError, match="descriptor"):
        Batch(SIZE, b"").receive(-1)


def test_there_are_no_batches_of_the_largest_datagrams() -> None:
    assert slots(65537) == 32
    assert slots((4 << 20) // 8) == 8
    assert slots((4 << 20) // 7) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=10))
def test_bytes_arrive_as_they_were_sent(messages: list[bytes]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.settimeout(10)
        batch = Batch(SIZE, b"")
        for message in messages:
            theirs.send(message)
        assert batch.receive(ours.fileno()) == len(messages)
        assert [batch.datagram(slot)[0] for slot in range(len(messages))] == messages
