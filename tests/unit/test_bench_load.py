"""The load generator with servers that reply correctly, wrongly, late, in pieces or not at all."""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from localechod.bench.channel import Channel
from localechod.bench.exchange import learn, message, request
from localechod.bench.load import Load, Round
from localechod.errors import LocalechodError, SocketError

KINDS = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET}
Server = Callable[[socket.socket], object]


@contextmanager
def connected(server: Server, kind: str = "stream", count: int = 1) -> Iterator[list[Channel]]:
    """Connect each channel to a server of its own, in a thread that ends with the channel."""
    pairs = [socket.socketpair(socket.AF_UNIX, KINDS[kind]) for _ in range(count)]

    def run(sock: socket.socket) -> None:
        with sock, suppress(ConnectionError):
            server(sock)

    threads = [threading.Thread(target=run, args=[theirs], daemon=True) for _, theirs in pairs]
    for thread in threads:
        thread.start()
    try:
        yield [
            Channel(ours.fileno(), ours.fileno(), "/x", boundaries=kind != "stream")
            for ours, _ in pairs
        ]
    finally:
        for ours, _ in pairs:
            ours.close()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()


def echo(sock: socket.socket) -> None:
    while data := sock.recv(1 << 16):
        sock.sendall(data)


def load(channels: list[Channel], size: int = 64, in_flight: int = 1, timeout: float = 20) -> Load:
    """Learn from the first channel, as `bench` does."""
    boundaries = channels[0].boundaries
    written = request(message(size), "line", 0, boundaries=boundaries)
    reply = channels[0].first_reply(written, timeout)
    exchange = learn(written, message(size), reply, "/x", boundaries=boundaries)
    return Load(channels, exchange, in_flight, timeout, lambda: None)


def check(done: Round, least: int) -> None:
    assert done.latencies.count >= least
    assert done.seconds > 0
    assert done.rate > 0
    assert done.server_cpu is None


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(("count", "in_flight"), [(1, 1), (3, 1), (1, 7), (3, 7)])
def test_every_request_in_flight_is_answered(kind: str, count: int, in_flight: int) -> None:
    with connected(echo, kind, count) as channels:
        loaded = load(channels, in_flight=in_flight)
        for _ in range(2):
            check(loaded.round(0.01), count * in_flight)
        assert not any(channel.due for channel in channels)


def test_messages_larger_than_the_socket_buffer_are_sent_and_received_in_pieces() -> None:
    with connected(echo) as channels:
        check(load(channels, size=1 << 20, in_flight=3).round(0.001), 3)


def test_replies_that_arrive_byte_by_byte_are_put_together() -> None:
    def reply_bytewise(sock: socket.socket) -> None:
        while data := sock.recv(1 << 16):
            for at in range(len(data)):
                sock.sendall(data[at : at + 1])

    with connected(reply_bytewise) as channels:
        check(load(channels, size=5, in_flight=2).round(0.01), 2)


def test_a_pair_of_pipes_is_one_connection() -> None:
    """The messages are larger than a pipe's buffer, so writing has to wait for reading."""
    ends = [*os.pipe(), *os.pipe()]

    def forward() -> None:
        while data := os.read(ends[2], 1 << 16):
            os.write(ends[1], data)

    thread = threading.Thread(target=forward)
    thread.start()
    try:
        check(
            load([Channel(ends[0], ends[3], "pipe", boundaries=False)], 300_000, 2).round(0.001), 2
        )
    finally:
        os.close(ends[3])
        thread.join(20)
        for end in ends[:3]:
            os.close(end)


def after(count: int, then: Server) -> Server:
    """Echo `count` times, then do something else with the next message."""

    def server(sock: socket.socket) -> None:
        for _ in range(count):
            sock.sendall(sock.recv(1 << 16))
        sock.recv(1 << 16)
        then(sock)

    return server


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(
    ("then", "text"),
    [
        (lambda sock: sock.sendall(b"x" * 65), "wrong reply: /x; it sent x"),
        (
            lambda sock: sock.sendall(message(64) + b"\nmore"),
            "wrong reply|more replies than requests",
        ),
        (lambda sock: sock.close(), "terminated prematurely: /x; it closed .* after [56] replies"),
    ],
)
def test_a_misbehaving_server_is_reported(kind: str, then: Server, text: str) -> None:
    with connected(after(6, then), kind) as channels:
        loaded = load(channels)
        with pytest.raises(LocalechodError, match=text):
            loaded.round(20)


def test_a_reset_is_reported() -> None:
    def reset(sock: socket.socket) -> None:
        sock.recv(1)

    def server(sock: socket.socket) -> None:
        sock.sendall(sock.recv(1 << 16))
        reset(sock)

    with connected(server) as channels:
        loaded = load(channels)
        with pytest.raises(SocketError, match=r"read failed: Connection reset by peer \(104\): /x"):
            loaded.round(20)


@pytest.mark.parametrize("count", [0, 3])
def test_a_silent_server_is_reported_after_the_timeout(count: int) -> None:
    def silence(sock: socket.socket) -> None:
        while sock.recv(1 << 16):
            pass

    with (
        connected(after(count, silence)) as channels,
        pytest.raises(SocketError, match=r"receive failed: Connection timed out \(110\): /x"),
    ):
        load(channels, timeout=0.3).round(20)


def test_a_lost_reply_on_one_of_several_channels_is_reported() -> None:
    servers = iter([echo, after(2, lambda sock: sock.recv(1))])

    def one_of_them(sock: socket.socket) -> None:
        next(servers)(sock)

    with connected(one_of_them, count=2) as channels:
        loaded = load(channels, timeout=0.5)
        with pytest.raises(SocketError, match=r"no reply within 0\.5 s"):
            loaded.round(0.1)


def test_a_first_reply_much_longer_than_its_request_is_refused() -> None:
    def endless(sock: socket.socket) -> None:
        with suppress(ConnectionError):
            while True:
                sock.sendall(b"x" * (1 << 16))

    with (
        connected(after(0, endless)) as channels,
        pytest.raises(SocketError, match=r"Message too long \(90\): /x; not an echo server"),
    ):
        load(channels)


@pytest.mark.parametrize("echoed", [0, 1])
def test_bytes_that_never_complete_a_reply_do_not_extend_the_time(echoed: int) -> None:
    def drip(sock: socket.socket) -> None:
        with suppress(ConnectionError):
            while True:
                sock.sendall(b"a")
                select.select([], [], [], 0.005)

    with (
        connected(after(echoed, drip)) as channels,
        pytest.raises(SocketError, match=r"receive failed: Connection timed out \(110\): /x"),
    ):
        load(channels, size=4096, timeout=0.3).round(20)
