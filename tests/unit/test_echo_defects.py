"""An exception that nothing expected ends what caused it, and everything else is served."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from localechod.echo.datagram.server import DatagramServer
from localechod.echo.stream.admission import Admission
from localechod.echo.supervisor import Supervisor
from localechod.localsocket.watch import Watcher
from tests.unit.restart_fakes import Kept, live

Act = Callable[[Supervisor], Awaitable[None]]


@pytest.fixture
def store() -> Iterator[Kept]:
    store = Kept()
    yield store
    store.close()


def fail(*_arguments: object, **_words: object) -> None:
    raise MemoryError


def client(path: Path, kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.setblocking(False)
    if kind == socket.SOCK_DGRAM:
        sock.bind(b"")
    sock.connect(str(path))
    return sock


async def ask(sock: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    sock.send(b"x\n")
    return await loop.sock_recv(sock, 100)


def reported(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("kind", "broken", "method", "reply"),
    [
        ("stream", Admission, "admits", b"Hi, x\n"),
        ("datagram", DatagramServer, "_answer", b"Hi, x\n"),
    ],
)
def test_the_next_client_is_served_and_one_line_is_logged(
    sockdir: Path,
    store: Kept,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    broken: type,
    method: str,
    reply: bytes,
) -> None:
    type_ = socket.SOCK_STREAM if kind == "stream" else socket.SOCK_DGRAM

    async def act(supervisor: Supervisor) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(broken, method, fail)
            unlucky = [client(sockdir / "a.sock", type_) for _ in range(3)]
            for sock in unlucky:
                sock.send(b"y\n")
            while not supervisor.status(["a"])[0].errors.get("internal_error", 0) >= 3:  # noqa: ASYNC110
                await asyncio.sleep(0)
        with client(sockdir / "a.sock", type_) as lucky:
            assert await ask(lucky) == reply
        (status,) = supervisor.status(["a"])
        assert status.state == "listening"
        for sock in unlucky:
            sock.close()

    live(store, sockdir, f'[endpoints.a]\ntype = "{kind}"\n', act)
    assert reported(caplog) == ["a: internal error"]


def test_a_datagram_that_cannot_be_answered_costs_no_other_its_reply(
    sockdir: Path, store: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = DatagramServer._take

    def fail_once(server: DatagramServer, message: bytes, *rest: object) -> None:
        if message == b"bad":
            raise MemoryError
        take(server, message, *rest)  # type: ignore[arg-type]

    async def act(supervisor: Supervisor) -> None:
        monkeypatch.setattr(DatagramServer, "_take", fail_once)
        server = supervisor._endpoints["a"]._server
        assert isinstance(server, DatagramServer)
        server._batch_size.now = 32
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(str(sockdir / "client"))  # a path: Python answers
        sock.connect(str(sockdir / "a.sock"))
        for message in (b"1", b"bad", b"2"):
            sock.send(message)
        loop = asyncio.get_running_loop()
        assert [await loop.sock_recv(sock, 100) for _ in range(2)] == [b"Hi, 1", b"Hi, 2"]
        assert supervisor.status(["a"])[0].errors == {"internal_error": 1}
        sock.close()

    live(store, sockdir, '[endpoints.a]\ntype = "datagram"\n', act)


def test_without_watches_the_endpoints_are_served_further(
    sockdir: Path,
    store: Kept,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act(_supervisor: Supervisor) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Watcher, "changed", fail)
            os.utime(sockdir / "a.sock")
            (sockdir / "a.sock").chmod(0o600)
            while not reported(caplog):  # noqa: ASYNC110
                await asyncio.sleep(0)
        with client(sockdir / "a.sock", socket.SOCK_STREAM) as sock:
            assert await ask(sock) == b"Hi, x\n"

    live(store, sockdir, '[endpoints.a]\ntype = "stream"\n', act)
    assert reported(caplog) == ["socket files are not watched any more"]
