"""Endpoints with faults over a restart and a crash, and beside the settings of all endpoints."""

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localechod import config
from localechod.config.faults import Faults
from localechod.echo.persist import crash_keep
from localechod.echo.supervisor import Supervisor
from localechod.fault_plan import decide
from tests.unit.restart_fakes import Kept, live

ENDPOINT = '[endpoints.a]\ntype = "{}"\nprefix = ""\nfaults = {{ {} }}\n{}'
CONNECTED = pytest.mark.parametrize("kind", ["stream", "seqpacket"])
TYPES = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET}


@pytest.fixture
def store() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.close()


@pytest.fixture
def client(sockdir: Path, kind: str) -> Iterator[Callable[[], socket.socket]]:
    """Connects; each of them has a deadline."""
    made = []

    def connect() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, TYPES[kind])
        made.append(sock)
        sock.settimeout(10)
        sock.connect(str(sockdir / "a.sock"))
        return sock

    yield connect
    for sock in made:
        sock.close()


async def received(supervisor: Supervisor, count: int) -> None:
    """Return when the endpoint has dealt with so many messages."""
    while supervisor.status()[0].messages_total < count:  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.001)


async def nothing(_supervisor: Supervisor) -> None:
    """Live for a moment."""


async def ask(sock: socket.socket, message: bytes) -> bytes:
    sock.send(message)
    return await asyncio.to_thread(sock.recv, 100)


@CONNECTED
def test_a_restart_hands_over_connections_with_their_numbers(
    sockdir: Path, store: Kept, kind: str, client: Callable[[], socket.socket]
) -> None:
    clients = []

    async def before(supervisor: Supervisor) -> None:
        for number in (1, 2):
            clients.append(client())
            clients[-1].send(b"one\n")
            await received(supervisor, number)

    async def after(supervisor: Supervisor) -> None:
        second = clients[1]
        wanted = decide(Faults(corrupt=1, seed=4, close_after=2), 2, 2, b"two\n", None).replies[0]
        assert await ask(second, b"two\n") == wanted
        assert await asyncio.to_thread(second.recv, 100) == b""
        third = client()
        wanted = decide(Faults(corrupt=1, seed=4), 3, 1, b"one\n", None).replies[0]
        assert await ask(third, b"one\n") == wanted
        assert supervisor.status()[0].faults_total["corrupt"] == 4

    live(store, sockdir, ENDPOINT.format(kind, "delay = 3600, corrupt = 1, seed = 4", ""), before)
    for sock in clients:  # the delay is over
        assert len(sock.recv(100)) == 4
    live(store, sockdir, ENDPOINT.format(kind, "corrupt = 1, seed = 4, close_after = 2", ""), after)


@CONNECTED
@pytest.mark.parametrize(("faults", "kept"), [("", 1), ("close_after = 9", 0)])
def test_a_connection_with_faults_is_not_kept_for_a_crash(
    *,
    sockdir: Path,
    store: Kept,
    kind: str,
    client: Callable[[], socket.socket],
    faults: str,
    kept: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crash_keep, "AGE", 0.0)

    async def act(supervisor: Supervisor) -> None:
        sock = client()
        assert await ask(sock, b"one\n") == b"one\n"
        for _ in range(50):  # a timer that is due would have been served
            await asyncio.sleep(0)
        while kept and not names():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)
        assert len(names()) == kept
        assert supervisor.status()[0].connections == 1

    def names() -> list[str]:
        return [name for name in store.held if name.endswith("@a") and name != "@a"]

    live(store, sockdir, ENDPOINT.format(kind, faults, ""), act)


@CONNECTED
def test_a_connection_that_waits_is_closed_when_it_is_idle(
    sockdir: Path, store: Kept, kind: str, client: Callable[[], socket.socket]
) -> None:
    async def act(supervisor: Supervisor) -> None:
        assert await ask(client(), b"one\n") == b""
        assert supervisor.status()[0].errors == {"idle_timeout": 1}

    text = ENDPOINT.format(kind, "delay = 3600", "idle_timeout = 0.05\n")
    live(store, sockdir, text, act)


@CONNECTED
@pytest.mark.parametrize("faults", ["never_read = true", "delay = 3600", "reset_after = 1"])
def test_a_drain_ends_such_connections_by_its_deadline(
    *,
    sockdir: Path,
    store: Kept,
    kind: str,
    client: Callable[[], socket.socket],
    faults: str,
) -> None:
    async def act(supervisor: Supervisor) -> None:
        sock = client()
        sock.send(b"one\n")
        while not supervisor.status()[0].connections:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)
        if "reset" in faults:
            assert await asyncio.to_thread(sock.recv, 100) == b"one\n"
        await supervisor.drain(0.05)
        assert sock.recv(100) == b""

    async def drained(supervisor: Supervisor) -> None:
        await act(supervisor)

    live(store, sockdir, ENDPOINT.format(kind, faults, ""), drained)


def test_a_restart_sends_late_replies_to_datagrams_at_once(sockdir: Path, store: Kept) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(str(sockdir / "client"))

        async def act(supervisor: Supervisor) -> None:
            for number in range(3):
                sock.sendto(b"%d" % number, str(sockdir / "a.sock"))
            await received(supervisor, 3)

        live(store, sockdir, ENDPOINT.format("datagram", "delay = 3600", ""), act)
        assert [sock.recv(100) for _ in range(3)] == [b"0", b"1", b"2"]


@CONNECTED
def test_an_endpoint_about_to_die_lives_on_without_the_fault(
    sockdir: Path, store: Kept, kind: str, client: Callable[[], socket.socket]
) -> None:
    async def act(supervisor: Supervisor) -> None:
        sock = client()
        sock.send(b"last\n")
        await received(supervisor, 1)  # its reply is late, so the endpoint has not died yet
        change(supervisor, sockdir, dying, ENDPOINT.format(kind, "", ""))
        sock.close()
        while supervisor.status()[0].connections:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)
        assert await ask(client(), b"one\n") == b"one\n"
        assert supervisor.status()[0].faults_total == {"delay": 1}

    dying = ENDPOINT.format(kind, "die_after = 1, delay = 3600", "")
    live(store, sockdir, dying, act)


@CONNECTED
def test_a_connection_that_is_never_read_counts_once_over_reloads(
    sockdir: Path, store: Kept, kind: str, client: Callable[[], socket.socket]
) -> None:
    texts = [ENDPOINT.format(kind, f"never_read = true, seed = {seed}", "") for seed in range(4)]

    async def act(supervisor: Supervisor) -> None:
        client()
        while not supervisor.status()[0].faults_total:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)
        for before, after in itertools.pairwise(texts):
            change(supervisor, sockdir, before, after)
        assert supervisor.status()[0].faults_total == {"never_read": 1}

    live(store, sockdir, texts[0], act)


def test_a_datagram_endpoint_about_to_die_lives_on_without_the_fault(
    sockdir: Path, store: Kept
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(str(sockdir / "client"))

        async def act(supervisor: Supervisor) -> None:
            sock.connect(str(sockdir / "a.sock"))
            sock.send(b"last")
            await received(supervisor, 1)
            change(supervisor, sockdir, dying, ENDPOINT.format("datagram", "", ""))
            assert await ask(sock, b"one") == b"one"
            assert supervisor.status()[0].faults_total == {"delay": 1}

        dying = ENDPOINT.format("datagram", "die_after = 1, delay = 3600", "")
        live(store, sockdir, dying, act)


def change(supervisor: Supervisor, directory: Path, before: str, after: str) -> None:
    """Reload, from one configuration to another."""
    old, new = (config.parse(f"version = 1\n{text}", directory, "test") for text in (before, after))
    supervisor.apply(config.compare(old, new), new)
