"""All connections together buffer no more than a limit; the largest one is closed for it."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import closing

import msgspec
import pytest

from localechod.config import EndpointConfig
from localechod.daemon.inherited import EndpointStore
from localechod.echo.counters import Counters
from localechod.echo.eventloop import EventLoop
from localechod.echo.faults import EndpointFaults
from localechod.echo.passed import PassedDescriptors
from localechod.echo.persist.crash_keep import CrashKeeper
from localechod.echo.persist.crash_slots import no_slots
from localechod.echo.reactor import Reactor
from localechod.echo.stream import buffers as module
from localechod.echo.stream.buffers import BufferBudget
from localechod.echo.stream.connection import Connection
from localechod.echo.stream.framed import StreamConnection
from localechod.host.fdstore import Store
from localechod.host.systemd import Notifier
from localechod.limits import UNCOUNTED_BYTES
from localechod.localsocket.peer import credentials

KIB = 1024


class Port:
    """The listener's side of connections, with the open ones."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor
        self.counters = Counters()
        self.config = EndpointConfig(
            name="a", type="stream", path="@a", max_message=1 << 24, prefix=""
        )
        self.crash_keeper = CrashKeeper(
            reactor.loop, EndpointStore(Store(Notifier({})), no_slots()), 0
        )
        self.buffers = BufferBudget()
        self.here: list[Connection] = []

    def observe(self, messages: Sequence[bytes], uid: int) -> None:
        raise AssertionError((messages, uid))

    socket_type = int(socket.SOCK_STREAM)
    faults: EndpointFaults
    passed: PassedDescriptors

    def failed(self, error: Exception) -> None:
        raise error

    def linger(self, sock: socket.socket, _uid: int) -> None:
        """See stream.port.Port."""
        sock.close()

    def connection_closed(self, connection: Connection) -> None:
        self.here.remove(connection)

    def client(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        peer = credentials(ours)
        model = StreamConnection.model(self)
        self.here.append(model.begin(ours.detach(), peer.pid, peer.uid, peer.gid))
        return theirs


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[Port]:
    monkeypatch.setattr(module, "BUFFERED_BYTES", 100 * KIB)
    reactor = Reactor()
    loop = EventLoop(reactor)
    port = Port(reactor)
    yield port
    for connection in list(port.here):
        connection.close_now()
    assert port.buffers._total == 0
    assert not port.buffers._users
    loop.close()


def test_incomplete_messages_close_the_largest_and_nobody_else(port: Port) -> None:
    with closing(port.client()) as large, closing(port.client()) as small:
        first, second = port.here
        for _ in range(3):
            large.send(b"x" * 20 * KIB)
            first.serve(0)
        small.send(b"x" * 30 * KIB)
        second.serve(0)
        assert port.here == [first, second]
        small.send(b"x" * 20 * KIB)
        second.serve(0)
        assert port.here == [second]
        assert large.recv(1) == b""
        small.send(b"\n")
        second.serve(0)
        assert small.recv(1 << 20) == b"x" * 50 * KIB + b"\n"
    assert port.counters.errors == {"memory_limit": 1}


def test_unsent_replies_count_until_they_are_sent(port: Port) -> None:
    with closing(port.client()) as client:
        (connection,) = port.here
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.send(b"x" * 60 * KIB + b"\n")
        connection.serve(0)
        assert port.buffers._total > 60 * KIB
        received = b""
        while len(received) < 60 * KIB + 1:
            received += client.recv(1 << 20)
            connection.serve(0)
        assert port.buffers._total == 0
        assert port.here == [connection]


def test_a_connection_that_alone_exceeds_the_limit_is_closed(port: Port) -> None:
    with closing(port.client()) as client:
        (connection,) = port.here
        while port.here:
            client.send(b"x" * 20 * KIB)
            connection.serve(0)
        assert client.recv(1) == b""
    assert port.counters.errors == {"memory_limit": 1}


def test_bytes_from_the_previous_process_count(port: Port) -> None:
    with closing(port.client()):
        (connection,) = port.here
        state = msgspec.structs.replace(connection.freeze(), pending=b"x" * 50 * KIB)
        connection.thaw(state)
        assert port.buffers._total == 50 * KIB


def test_little_is_not_counted(port: Port) -> None:
    with closing(port.client()) as client:
        client.send(b"x" * UNCOUNTED_BYTES)
        port.here[0].serve(0)
    assert not port.buffers._users


class Owner:
    """Buffered bytes of a user."""

    def __init__(self, budget: BufferBudget, uid: int) -> None:
        self.budget, self.uid, self.evicted = budget, uid, False

    def evict(self) -> None:
        self.evicted = True
        self.budget.report(self, 0)


def test_the_user_who_has_most_is_evicted_and_not_the_largest_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BUFFERED_BYTES", 100 * KIB)
    budget = BufferBudget()
    alice, mallory = Owner(budget, 1), [Owner(budget, 2) for _ in range(4)]
    budget.report(alice, 40 * KIB)
    for number, owner in enumerate(mallory):
        budget.report(owner, 19 * KIB + number)
    assert [owner.evicted for owner in mallory] == [False, False, False, True]
    assert not alice.evicted
    budget.report(alice, 0)
    for owner in mallory:
        budget.report(owner, 0)
    assert not budget._users
