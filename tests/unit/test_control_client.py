"""What the client says when the other end is missing, closed, silent, or somebody else."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from localechod.control import client as module
from localechod.control.client import ConnectionLostError, ControlClient
from localechod.control.server import ControlServer
from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError, UsageError
from localechod.host import runtime
from localechod.localsocket.address import Address
from tests.unit.control_fakes import FakeDaemon, run, served


def ask(path: Path) -> None:
    async def main() -> None:
        async with ControlClient(str(path)) as client:
            await client.status()

    run(asyncio.new_event_loop, main)


@contextmanager
def stranger(path: Path, behave: Callable[[socket.socket], object]) -> Iterator[None]:
    """Listen at the control socket's place and treat one client in a way of one's own."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            # Reads to the end: closing on unread bytes would be a reset, which hides the answer.
            with listening.accept()[0] as connection, suppress(ConnectionError):
                behave(connection)
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join(20)


def test_no_socket_means_no_daemon_and_where_to_look(sockdir: Path) -> None:
    path = sockdir / "control.sock"
    with pytest.raises(DaemonNotRunningError) as caught:
        ask(path)
    assert caught.value.exit_status == 3
    assert caught.value.text == (
        f"localechod is not running: connect failed: No such file or directory (2): {path}"
    )
    assert "journalctl -u localechod -n 20" in caught.value.hint


def test_a_connection_that_is_closed_at_once_is_one_line(sockdir: Path) -> None:
    path = sockdir / "control.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        original = module._connected

        def closed(address: Address) -> socket.socket:
            sock = original(address)
            listening.accept()[0].close()
            return sock

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_connected", closed)
            for _ in range(20):
                with pytest.raises(ConnectionLostError, match="closed before the answer"):
                    ask(path)


def test_a_stale_socket_means_no_daemon(sockdir: Path) -> None:
    path = sockdir / "control.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with pytest.raises(DaemonNotRunningError, match=r"connect failed: Connection refused \(111\)"):
        ask(path)


def test_the_hint_depends_on_whose_daemon_was_meant(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = sockdir / "run"
    system.mkdir()
    monkeypatch.setattr(runtime, "SYSTEM_DIRECTORY", system)
    with pytest.raises(DaemonNotRunningError, match="; systemctl start localechod; why it ended"):
        ask(system / "control.sock")
    with pytest.raises(DaemonNotRunningError, match="; start localechod; of a system service"):
        ask(sockdir / "own.sock")
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(system / "control.sock"))
        with pytest.raises(DaemonNotRunningError, match="system's is: localechoctl --control /tmp"):
            ask(sockdir / "own.sock")


@pytest.mark.parametrize("path", ["", "relative.sock", "/" + "x" * 200])
def test_an_address_that_cannot_be_one_is_a_usage_error(path: str) -> None:
    async def main() -> None:
        with pytest.raises(UsageError):
            ControlClient(path)

    run(asyncio.new_event_loop, main)


def test_a_socket_of_another_type_is_said_to_be_one(sockdir: Path) -> None:
    path = sockdir / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
        datagram.bind(str(path))
        with pytest.raises(SocketError, match="Protocol wrong type for socket") as caught:
            ask(path)
    assert caught.value.exit_status == 1


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(lambda c: c.sendall(b"Hi, " + c.recv(4096)), id="echoes-with-greeting"),
        pytest.param(lambda c: c.sendall(c.recv(4096)), id="echoes"),
        pytest.param(lambda c: c.sendall(b"220 mail.example ESMTP\r\n" * 9), id="greets"),
    ],
)
def test_a_foreign_server_is_one_clear_line(
    sockdir: Path, behave: Callable[[socket.socket], object]
) -> None:
    path = sockdir / "control.sock"
    with stranger(path, behave), pytest.raises(LocalechodError) as caught:
        ask(path)
    assert str(caught.value) == (
        f"control call failed: what answers there is not localechod: {path}; "
        "name its control socket with --control"
    )
    assert caught.value.exit_status == 1


def test_a_server_that_closes_at_once_is_a_lost_connection(sockdir: Path) -> None:
    path = sockdir / "control.sock"
    with (
        stranger(path, lambda c: c.shutdown(socket.SHUT_WR)),
        pytest.raises(ConnectionLostError) as caught,
    ):
        ask(path)
    assert "the connection was closed before the answer" in str(caught.value)
    assert caught.value.exit_status == 1


def test_a_server_that_says_nothing_is_waited_for_only_so_long(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sockdir / "control.sock"
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    with (
        stranger(path, lambda _: None),
        pytest.raises(LocalechodError, match=r"no answer within 0\.05 s: /tmp"),
    ):
        ask(path)


def test_a_full_backlog_is_waited_for_only_so_long(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sockdir / "control.sock"
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as waiting:
        full.bind(str(path))
        full.listen(0)
        waiting.connect(str(path))
        with pytest.raises(SocketError, match=r"Resource temporarily unavailable \(11\)"):
            ask(path)


def test_an_abstract_control_socket_works_as_well(sockdir: Path) -> None:
    name = f"localechod-{os.getpid()}-{sockdir.name}"

    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"\0{name}")
            listening.listen()
            server = ControlServer(FakeDaemon(), admins=(), own_uid=0)
            await server.start(listening)
            async with ControlClient(f"@{name}") as client:
                assert (await client.status()).endpoints
            await server.close(1.0)

    run(asyncio.new_event_loop, main)


def test_one_client_makes_many_calls_over_one_connection(sockdir: Path) -> None:
    path = sockdir / "control.sock"

    async def main() -> None:
        async with served(path, FakeDaemon()) as server, ControlClient(str(path)) as client:
            await asyncio.gather(*(client.status() for _ in range(20)))
            assert len(server._guard.connections) == 1

    run(asyncio.new_event_loop, main)
