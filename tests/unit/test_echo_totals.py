"""An endpoint's totals are those of all its connections, and cost no look at any of them."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localechod.echo.stream import buffers as buffers_module
from localechod.echo.stream.buffers import BufferBudget
from localechod.echo.supervisor import Supervisor
from tests.unit.restart_fakes import Kept, live

Act = Callable[[Supervisor], Awaitable[None]]


@pytest.fixture
def store() -> Iterator[Kept]:
    store = Kept()
    yield store
    store.close()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0)


def client(path: Path, kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.setblocking(False)
    sock.connect(str(path))
    return sock


TALKS = {
    "line": [b"one\n", b"two\nthree\n", b"fo", b"ur\nfive", b"\n"],
    "record": [
        b"one".ljust(16, b"\0"),
        b"two".ljust(16, b"\0") * 3,
        b"thr",
        b"ee".ljust(13, b"\0"),
    ],
    "chunk": [b"one", b"two", b"x" * 3000],
    "seqpacket": [b"one", b"", b"x" * 3000, b"y" * 4097],
}


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("logged", ["false", "true"])
def test_the_totals_are_the_sums_of_the_connections(
    store: Kept, sockdir: Path, talk: str, logged: str
) -> None:
    kind = "seqpacket" if talk == "seqpacket" else "stream"
    number = socket.SOCK_SEQPACKET if talk == "seqpacket" else socket.SOCK_STREAM
    text = f'[endpoints.a]\ntype = "{kind}"\nmax_message = 4096\nlog_messages = {logged}\n'
    if kind == "stream":
        text += f'framing = "{talk}"\n' + "record_size = 16\n" * (talk == "record")
    path, clients, counted = sockdir / "a.sock", list[socket.socket](), dict[str, int]()

    def totals(supervisor: Supervisor) -> dict[str, int]:
        (row,) = supervisor.status(["a"])
        names = ("messages", "received_bytes", "sent_bytes")
        return {name: getattr(row, f"{name}_total") for name in names}

    async def before(supervisor: Supervisor) -> None:
        clients.extend(client(path, number) for _ in range(3))
        sent = sum(map(len, TALKS[talk]))
        for data in TALKS[talk]:
            for sock in clients:
                sock.send(data)
            # One read for each part: what has been read by now, nothing else can add to.
            done = totals(supervisor)["received_bytes"] + len(data) * len(clients)
            await until(lambda done=done: totals(supervisor)["received_bytes"] >= done)  # type: ignore[misc]
        assert totals(supervisor)["received_bytes"] == sent * len(clients)
        rows: list[Any] = list(supervisor.peers())
        assert len(rows) == 3
        for name, total in totals(supervisor).items():
            assert total == sum(getattr(row, name) for row in rows) > 0
        counted.update(totals(supervisor))
        clients.pop().close()
        await until(lambda: supervisor.status(["a"])[0].connections == 2)
        assert totals(supervisor) == counted

    async def after(supervisor: Supervisor) -> None:
        assert totals(supervisor) == counted  # a restart neither loses nor doubles
        for sock in clients:
            sock.close()
        await until(lambda: supervisor.status(["a"])[0].connections == 0)
        assert totals(supervisor) == counted

    live(store, sockdir, text, before)
    live(store, sockdir, text, after)


class Untouched(set[Any]):
    """Connections that must not be looked at."""

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("a look at each connection")


def test_a_status_looks_at_no_connection(store: Kept, sockdir: Path) -> None:
    async def act(supervisor: Supervisor) -> None:
        sock = client(sockdir / "a.sock", socket.SOCK_STREAM)
        sock.send(b"x\n")
        await until(lambda: supervisor.status()[0].messages_total == 1)
        listener: Any = supervisor._endpoints["a"]._server
        here = listener._connections
        listener._connections = Untouched(here)
        with pytest.raises(AssertionError):
            list(supervisor.peers())
        (row,) = supervisor.status()
        assert (row.connections, row.messages_total, row.sent_bytes_total) == (1, 1, 6)
        assert supervisor.states() == {"a": "listening"}
        listener._connections = here
        sock.close()

    live(store, sockdir, '[endpoints.a]\ntype = "stream"\n', act)


def test_a_client_that_leaves_while_peers_are_listed_does_no_harm(
    store: Kept, sockdir: Path
) -> None:
    async def act(supervisor: Supervisor) -> None:
        clients = [client(sockdir / "a.sock", socket.SOCK_STREAM) for _ in range(3)]
        await until(lambda: supervisor.status()[0].connections == 3)
        rows = supervisor.peers(uid=os.geteuid())
        next(rows)
        for sock in clients:
            sock.close()
        await until(lambda: supervisor.status()[0].connections == 0)
        assert len(list(rows)) == 2
        assert list(supervisor.peers(uid=os.geteuid() + 1)) == []

    live(store, sockdir, '[endpoints.a]\ntype = "stream"\n', act)


class Owner:
    """Buffered bytes of a user; counts how often it is looked at."""

    looks = 0

    def __init__(self, budget: BufferBudget, uid: int) -> None:
        self.budget, self._uid = budget, uid

    @property
    def uid(self) -> int:
        Owner.looks += 1
        return self._uid

    def evict(self) -> None:
        self.budget.report(self, 0)

    def __hash__(self) -> int:
        Owner.looks += 1
        return id(self)


@pytest.mark.parametrize("users", [1, 10])
def test_an_eviction_looks_at_few_connections_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch, users: int
) -> None:
    def looks(count: int) -> int:
        budget = BufferBudget()
        owners = [Owner(budget, number % users) for number in range(count)]
        monkeypatch.setattr(buffers_module, "BUFFERED_BYTES", sum(range(1000, 1000 + count)))
        for size, owner in enumerate(owners, 1000):
            budget.report(owner, size)
        Owner.looks = 0
        for owner in owners[:10]:
            budget.report(owner, 5000)
        return Owner.looks

    assert looks(10_000) < 5 * looks(100)
