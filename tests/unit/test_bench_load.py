"""The load generator against peers that answer well, wrongly, late, in pieces or not at all."""

import os
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
Peer = Callable[[socket.socket], object]


@contextmanager
def answered(peer: Peer, kind: str = "stream", count: int = 1) -> Iterator[list[Channel]]:
    """Connect channels to a peer each, in threads that end when the channels are closed."""
    pairs = [socket.socketpair(socket.AF_UNIX, KINDS[kind]) for _ in range(count)]

    def run(sock: socket.socket) -> None:
        with sock, suppress(ConnectionError):
            peer(sock)

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
    kept = channels[0].boundaries
    written = request(message(size), "line", 0, boundaries=kept)
    reply = channels[0].first_reply(written, timeout)
    exchange = learn(written, message(size), reply, "/x", boundaries=kept)
    return Load(channels, exchange, in_flight, timeout, lambda: None)


def well(done: Round, least: int) -> None:
    assert done.latencies.count >= least
    assert done.seconds > 0
    assert done.rate > 0
    assert done.server is None


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(("count", "in_flight"), [(1, 1), (3, 1), (1, 7), (3, 7)])
def test_every_request_under_way_is_answered(kind: str, count: int, in_flight: int) -> None:
    with answered(echo, kind, count) as channels:
        loaded = load(channels, in_flight=in_flight)
        for _ in range(2):
            well(loaded.round(0.01), count * in_flight)
        assert not any(channel.begun for channel in channels)


def test_messages_larger_than_the_socket_holds_go_out_and_come_back_in_pieces() -> None:
    with answered(echo) as channels:
        well(load(channels, size=1 << 20, in_flight=3).round(0.001), 3)


def test_a_peer_that_dribbles_is_understood() -> None:
    def dribble(sock: socket.socket) -> None:
        while data := sock.recv(1 << 16):
            for at in range(len(data)):
                sock.sendall(data[at : at + 1])

    with answered(dribble) as channels:
        well(load(channels, size=5, in_flight=2).round(0.01), 2)


def test_two_descriptors_serve_as_one_connection() -> None:
    """Pipes, larger than they hold, so that writing has to wait for its turn."""
    ends = [*os.pipe(), *os.pipe()]

    def forward() -> None:
        while data := os.read(ends[2], 1 << 16):
            os.write(ends[1], data)

    thread = threading.Thread(target=forward)
    thread.start()
    try:
        well(
            load([Channel(ends[0], ends[3], "pipe", boundaries=False)], 300_000, 2).round(0.001), 2
        )
    finally:
        os.close(ends[3])
        thread.join(20)
        for end in ends[:3]:
            os.close(end)


def after(count: int, then: Peer) -> Peer:
    """Echo so many times, then do something else with the next message."""

    def peer(sock: socket.socket) -> None:
        for _ in range(count):
            sock.sendall(sock.recv(1 << 16))
        sock.recv(1 << 16)
        then(sock)

    return peer


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(
    ("then", "text"),
    [
        (lambda sock: sock.sendall(b"x" * 65), "wrong reply: /x; it sent x"),
        (lambda sock: sock.sendall(message(64) + b"\nmore"), "wrong reply|more came than was"),
        (lambda sock: sock.close(), "terminated prematurely: /x; it closed .* after [56] replies"),
    ],
)
def test_a_peer_that_goes_astray_is_told(kind: str, then: Peer, text: str) -> None:
    with answered(after(6, then), kind) as channels:
        loaded = load(channels)
        with pytest.raises(LocalechodError, match=text):
            loaded.round(20)


def test_a_reset_is_told_with_how_far_it_went() -> None:
    def reset(sock: socket.socket) -> None:
        sock.recv(1)

    def peer(sock: socket.socket) -> None:
        sock.sendall(sock.recv(1 << 16))
        reset(sock)

    with answered(peer) as channels:
        loaded = load(channels)
        with pytest.raises(SocketError, match=r"read failed: Connection reset by peer \(104\): /x"):
            loaded.round(20)


@pytest.mark.parametrize("count", [0, 3])
def test_a_peer_that_falls_silent_is_waited_for_only_so_long(count: int) -> None:
    def silence(sock: socket.socket) -> None:
        while sock.recv(1 << 16):
            pass

    with (
        answered(after(count, silence)) as channels,
        pytest.raises(SocketError, match=r"receive failed: Connection timed out \(110\): /x"),
    ):
        load(channels, timeout=0.3).round(20)


def test_one_lost_reply_among_many_lanes_is_noticed() -> None:
    peers = iter([echo, after(2, lambda sock: sock.recv(1))])

    def one_of_them(sock: socket.socket) -> None:
        next(peers)(sock)

    with answered(one_of_them, count=2) as channels:
        loaded = load(channels, timeout=0.5)
        with pytest.raises(SocketError, match=r"no reply within 0\.5 s"):
            loaded.round(0.1)
