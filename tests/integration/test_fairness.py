"""One endpoint's storm costs another endpoint's client a bounded wait, counted in work, not time.

In one process with the data plane: what the storm's endpoint has done is counted exactly between
the request to the calm one and its reply, however fast the machine is.
"""

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from localechod import config
from localechod.echo.binding import Owner
from localechod.echo.datagram import server
from localechod.echo.eventloop import EventLoop
from localechod.echo.fastpath import CHILD_BATCH
from localechod.echo.persist.crash_slots import no_slots
from localechod.echo.reactor import Reactor
from localechod.echo.supervisor import Supervisor
from tests.integration.harness import DEADLINE

# Rounds of the storm's endpoint that a reply may have to wait for: the one that is under way when
# the request comes, and one that is due before the calm endpoint's.
ROUNDS = 2
CLIENTS = 300
READ = 65536


class SocketStore:
    """Stores nothing."""

    slots = no_slots()
    is_busy = False

    def put(self, name: str, descriptor: int) -> None: ...

    def remove(self, name: str) -> None: ...


class House:
    """The data plane on a loop of its own."""

    def __init__(self, directory: Path, storm: str) -> None:
        self.directory = directory
        text = "version = 1\n[defaults]\nmax_connections_per_user = 0\n"
        text += f'[endpoints.storm]\n{storm}\n[endpoints.calm]\ntype = "stream"\n'
        self.reactor = Reactor()
        self.loop = EventLoop(self.reactor)
        owner = Owner(directory.stat().st_uid, directory.stat().st_gid)
        loaded = config.parse(text, directory, "the test")
        self.supervisor = Supervisor(loaded, self.reactor, owner, SocketStore(), dropped=False)
        self.supervisor.begin({})

    def connect(self, name: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.settimeout(DEADLINE)
        sock.connect(str(self.directory / f"{name}.sock"))
        return sock

    def run_once(self) -> None:
        """Let the loop run once."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if condition():
                return
            self.run_once()
        raise AssertionError("it did not happen")

    def done(self) -> tuple[int, int, int]:
        """Return what the storm's endpoint has accepted, read and answered."""
        (row,) = self.supervisor.status(["storm"])
        return row.accepted_total, row.received_bytes_total, row.messages_total

    def during_a_calm_request(self, calm: socket.socket) -> tuple[int, int, int]:
        """Return what the storm's endpoint does between a request to the calm one and its reply."""
        before = self.done()
        calm.sendall(b"x\n")
        self.until(lambda: bool(select.select([calm], [], [], 0)[0]))
        assert calm.recv(100) == b"Hi, x\n"
        after = self.done()
        return after[0] - before[0], after[1] - before[1], after[2] - before[2]

    def close(self) -> None:
        self.loop.run_until_complete(self.supervisor.drain(0.0))
        self.loop.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def house(sockdir: Path, stack: ExitStack, storm: str) -> tuple[House, socket.socket]:
    house = House(sockdir, storm)
    stack.callback(house.close)
    calm = stack.enter_context(house.connect("calm"))
    assert house.during_a_calm_request(calm) == (0, 0, 0)
    return house, calm


@pytest.mark.parametrize(
    ("settings", "once"),
    [("", READ), ("log_messages = true", 4096)],  # bytes of a read
    ids=["compiled", "logged"],
)
def test_a_flood_of_tiny_lines_from_many_clients(
    sockdir: Path, stack: ExitStack, settings: str, once: int
) -> None:
    there, calm = house(sockdir, stack, f'type = "stream"\n{settings}')
    clients = [stack.enter_context(there.connect("storm")) for _ in range(CLIENTS)]
    there.until(lambda: there.done()[0] == CLIENTS)
    for client in clients:
        client.setblocking(False)
        with suppress(BlockingIOError):
            client.send(b"\n" * READ)
    _, read, _ = there.during_a_calm_request(calm)
    assert read <= ROUNDS * CHILD_BATCH * once
    assert there.done()[1] < CLIENTS * READ  # the storm is not over yet


def test_long_lines_and_clients_that_never_read(sockdir: Path, stack: ExitStack) -> None:
    there, calm = house(sockdir, stack, 'type = "stream"\nmax_message = 1000000')
    clients = [stack.enter_context(there.connect("storm")) for _ in range(CLIENTS)]
    there.until(lambda: there.done()[0] == CLIENTS)
    for _ in range(10):
        for client in clients:
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.send(b"x" * READ)
        _, read, _ = there.during_a_calm_request(calm)
        assert read <= ROUNDS * CHILD_BATCH * READ


def test_a_flood_of_connections(sockdir: Path, stack: ExitStack) -> None:
    there, calm = house(sockdir, stack, 'type = "stream"')
    for _ in range(CLIENTS):
        stack.enter_context(there.connect("storm"))
    accepted, _, _ = there.during_a_calm_request(calm)
    assert accepted <= ROUNDS * 16
    assert there.done()[0] < CLIENTS


def test_a_flood_of_datagrams(
    sockdir: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By default no more than 10 wait (net.unix.max_dgram_qlen), less than the real batch.
    monkeypatch.setattr(server, "TURN", 3)
    there, calm = house(sockdir, stack, 'type = "datagram"')
    for _ in range(10):
        with there.connect("storm", socket.SOCK_DGRAM) as client, suppress(BlockingIOError):
            client.setblocking(False)
            while True:
                client.send(b"x")
        _, _, answered = there.during_a_calm_request(calm)
        assert answered <= ROUNDS * 3
