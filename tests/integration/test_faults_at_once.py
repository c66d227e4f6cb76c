"""Every fault at once, with hostile clients at each: no other endpoint is harmed."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.integration.fault_trials import KEYS, TYPES, Peer, configuration, fill, fits
from tests.integration.harness import Daemon, descriptors, is_read, receive, resident, until

GOOD = '[endpoints.good]\ntype = "stream"\nmode = "0666"\n'
CLIENTS = 4  # at each endpoint
ROUNDS = 20
LONGEST = 30_000  # bytes of a hostile message
MANY = 4096  # descriptors
DELAYED = 4 << 20  # bytes of late replies to a user's datagrams; localechod/limits.py


def asks(sock: socket.socket, number: int) -> None:
    sock.sendall(b"%d\n" % number)
    wanted = b"Hi, %d\n" % number
    assert receive(sock, len(wanted)) == wanted


class Hostile:
    """A client that sends what fits, reads little, and connects again when it is thrown out."""

    def __init__(self, peer: Peer, stack: ExitStack) -> None:
        self._peer = peer
        self._sock: socket.socket | None = None
        stack.callback(self.leave)

    def leave(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None

    def trouble(self, turn: int) -> None:
        """Do the next thing; nothing of it blocks."""
        try:
            if self._sock is None:
                self._sock = socket.socket(socket.AF_UNIX, TYPES[self._peer.kind])
                self._sock.setblocking(False)
                if self._peer.kind == "datagram":
                    self._sock.bind("")
                self._sock.connect(self._peer.daemon.path(self._peer.name))
            for size in (0, 1, 1000, LONGEST):
                self._sock.send(b"x" * size + b"\n")
            socket.send_fds(self._sock, [b"passed\n"], [self._sock.fileno()])
            if turn % 3 == 0:
                self._sock.recv(100)
            if turn % 7 == 0:
                self._sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            self.leave()


def test_all_faults_at_once_with_hostile_clients_harm_no_other(either: Daemon) -> None:
    either.configure("".join(map(configuration, TYPES)) + GOOD)
    either.start()
    named = [
        Peer(either, f"{key}-{kind}", kind) for kind in TYPES for key in KEYS if fits(key, kind)
    ]
    before, opened = resident(either.pid), descriptors(either.pid)
    with ExitStack() as stack:
        hostile = [Hostile(peer, stack) for peer in named for _ in range(CLIENTS)]
        good = stack.enter_context(either.connect("good"))
        for turn in range(1, ROUNDS + 1):
            for client in hostile:
                client.trouble(turn)
            asks(good, turn)
            with either.connect("good") as new:
                asks(new, turn)
        rows = either.rows()
        assert rows["good"]["messages_total"] == 2 * ROUNDS
        assert not rows["good"]["errors"]
        most = len(hostile) * 4 * LONGEST + 2 * DELAYED
        assert resident(either.pid) - before < most
    assert either.ctl("stop", *(peer.name for peer in named)).returncode == 0
    until(lambda: descriptors(either.pid) <= opened)
    assert len(either.log.read_text(encoding="utf-8").splitlines()) < 10 * len(named)
    with either.connect("good") as sock:
        asks(sock, 0)


def test_a_client_that_writes_for_ever_to_a_deaf_endpoint_costs_nothing(either: Daemon) -> None:
    """Neither memory nor time: what it writes stays in the kernel, as its own."""
    either.configure("".join(map(configuration, TYPES)) + GOOD)
    either.start()
    before = resident(either.pid)
    with ExitStack() as stack:
        deaf = [
            stack.enter_context(Peer(either, f"never_read-{kind}", kind).connect())
            for kind in TYPES
        ]
        good = stack.enter_context(either.connect("good"))
        for turn in range(100):
            for sock in deaf:
                fill(sock)
            asks(good, turn)
        assert not any(is_read(sock) for sock in deaf)
        assert resident(either.pid) - before < 2 << 20


@pytest.fixture
def many() -> Iterator[None]:
    """Descriptors for a thousand clients; an ordinary user's shell often has 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MANY:
        pytest.skip(f"{MANY} descriptors are needed, and this machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, MANY), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        ("stream", "delay = 3600"),
        ("seqpacket", "delay = 3600"),
        ("datagram", "delay = 3600"),
        ("seqpacket", "reorder = 1"),
    ],
)
def test_a_thousand_replies_that_wait_are_bounded_and_delay_no_other(
    either: Daemon, kind: str, faults: str
) -> None:
    clients = 1 if kind == "datagram" else 1000
    either.configure(
        f'[endpoints.slow]\ntype = "{kind}"\nmode = "0666"\nfaults = {{ {faults} }}\n'
        + ("" if kind == "datagram" else "max_connections = 1100\nmax_connections_per_user = 0\n")
        + GOOD
    )
    either.start()
    before = resident(either.pid)
    size = 2000
    with ExitStack() as stack:
        good = stack.enter_context(either.connect("good"))
        peer = Peer(either, "slow", kind)
        waiting = [stack.enter_context(peer.connect()) for _ in range(clients)]
        for number in range(1000):
            waiting[number % clients].send(b"x" * size + b"\n")
            asks(good, number)
        until(lambda: peer.messages() == 1000)
        assert resident(either.pid) - before < 1000 * 4 * (size + 1024)
        assert either.ctl("stop", "slow").returncode == 0
        for sock in waiting:
            with suppress(ConnectionResetError):
                if kind != "datagram":
                    assert len(sock.recv(4096)) in {0, size + 5}
