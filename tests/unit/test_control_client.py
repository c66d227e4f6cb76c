"""Errors of both clients where the server is missing, closed, silent, or another program."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from localechod.control import call, channel, client, connect, events
from localechod.control.client import Client
from localechod.control.connect import ConnectionLostError
from localechod.control.events import EventClient
from localechod.control.messages import StatusReport
from localechod.control.server import ControlServer
from localechod.echo.status import PeerRow
from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError, UsageError
from localechod.host import runtime
from localechod.localsocket.address import Address
from tests.unit.control_fakes import FakeDaemon, endpoint, live, run

Ask = Callable[[Path], StatusReport]


def by_grpclib(path: Path) -> StatusReport:
    async def main() -> StatusReport:
        async with EventClient(str(path)) as client:
            return await client.status()

    return run(asyncio.new_event_loop, main)


def by_h2(path: Path) -> StatusReport:
    return Client(str(path)).status()


@pytest.fixture(params=[by_grpclib, by_h2])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask for the status by either client; results and errors have to be the same."""
    way: Ask = request.param
    return way


def look_no_longer_than(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in (events, client, connect):
        monkeypatch.setattr(each, "LOOK_SECONDS", seconds)


@contextmanager
def other_server(path: Path, behave: Callable[[socket.socket], object]) -> Iterator[None]:
    """Listen at the control socket's path and run a function on one client."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            # Reads to the end: closing with unread bytes would be a reset, which hides the reply.
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


def test_a_missing_socket_means_no_daemon_and_the_hint_names_the_journal(
    ask: Ask, sockdir: Path
) -> None:
    path = sockdir / "control.sock"
    with pytest.raises(DaemonNotRunningError) as caught:
        ask(path)
    assert caught.value.exit_status == 3
    assert caught.value.text == (
        f"localechod is not running: connect failed: No such file or directory (2): {path}"
    )
    assert "journalctl -u localechod -n 20" in caught.value.hint


def test_a_connection_that_is_closed_at_once_is_one_line(ask: Ask, sockdir: Path) -> None:
    path = sockdir / "control.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        original = connect.connected

        def closed(address: Address, seconds: float | None = None) -> socket.socket:
            sock = original(address, seconds)
            listening.accept()[0].close()
            return sock

        with pytest.MonkeyPatch.context() as patch:
            for each in (channel, connect):
                patch.setattr(each, "connected", closed)
            for _ in range(20):
                with pytest.raises(ConnectionLostError, match="closed before the reply"):
                    ask(path)


@pytest.mark.parametrize(
    ("make", "hint"), [(os.mkfifo, "it is a FIFO, not a socket"), (os.mkdir, "it is a directory")]
)
def test_a_file_of_another_type_means_no_daemon_and_is_named(
    ask: Ask, sockdir: Path, make: Callable[[Path], None], hint: str
) -> None:
    path = sockdir / "control.sock"
    make(path)
    with pytest.raises(
        DaemonNotRunningError, match=r"connect failed: Connection refused"
    ) as caught:
        ask(path)
    assert caught.value.hint.startswith(hint)


def test_a_stale_socket_means_no_daemon(ask: Ask, sockdir: Path) -> None:
    path = sockdir / "control.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with pytest.raises(DaemonNotRunningError, match=r"connect failed: Connection refused \(111\)"):
        ask(path)


def test_the_hint_depends_on_the_daemon_that_was_meant(
    ask: Ask, sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = sockdir / "run"
    system.mkdir()
    monkeypatch.setattr(runtime, "SYSTEM_DIRECTORY", system)
    monkeypatch.setattr(connect, "SYSTEM_UNITS", (str(sockdir),))
    with pytest.raises(DaemonNotRunningError, match=r"; start it as root: localechod --detach$"):
        ask(system / "control.sock")
    (sockdir / "localechod.service").touch()
    with pytest.raises(
        DaemonNotRunningError, match="; start it: systemctl start localechod; see why it ended"
    ):
        ask(system / "control.sock")
    with pytest.raises(
        DaemonNotRunningError, match="; start localechod; if it is a system service"
    ):
        ask(sockdir / "own.sock")
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(system / "control.sock"))
        with pytest.raises(
            DaemonNotRunningError, match="to use the system's daemon: localechoctl --control /tmp"
        ):
            ask(sockdir / "own.sock")


def as_uid(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_the_hint_for_a_users_own_daemon_names_their_service_manager(
    ask: Ask, sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_uid(1000, monkeypatch)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(sockdir))
    monkeypatch.setattr(runtime, "SYSTEM_DIRECTORY", sockdir / "system")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(sockdir))
    monkeypatch.setattr(connect, "USERS_UNITS", ())
    with pytest.raises(DaemonNotRunningError) as caught:
        ask(sockdir / "localechod" / "control.sock")
    assert caught.value.hint == "start it: localechod --detach"
    unit = sockdir / "systemd/user/localechod.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    with pytest.raises(DaemonNotRunningError) as caught:
        ask(sockdir / "localechod" / "control.sock")
    assert caught.value.hint == (
        "start it: systemctl --user start localechod, or localechod --detach; "
        "see why it ended: journalctl --user -u localechod -n 20"
    )


@pytest.mark.parametrize(("sudo", "shown"), [("1000", True), ("1001", False), ("../x", False)])
def test_a_user_of_sudo_is_told_of_their_own_daemon(
    ask: Ask, sockdir: Path, monkeypatch: pytest.MonkeyPatch, sudo: str, *, shown: bool
) -> None:
    as_uid(0, monkeypatch)
    monkeypatch.setenv("SUDO_UID", sudo)
    monkeypatch.setattr(runtime, "SYSTEM_DIRECTORY", sockdir / "system")
    monkeypatch.setattr(runtime, "USERS_DIRECTORIES", sockdir)
    own = sockdir / "1000" / "localechod" / "control.sock"
    own.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(own))
        with pytest.raises(DaemonNotRunningError) as caught:
            ask(sockdir / "system" / "control.sock")
    assert (
        f"your own daemon is running ({own}): run this command without sudo" in caught.value.hint
    ) == shown


@pytest.mark.parametrize("path", ["", "relative.sock", "/" + "x" * 200])
def test_an_impossible_control_address_is_a_usage_error(path: str) -> None:
    async def main() -> None:
        with pytest.raises(UsageError):
            EventClient(path)

    run(asyncio.new_event_loop, main)


def test_a_socket_of_another_type_is_reported_as_such(ask: Ask, sockdir: Path) -> None:
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
    ask: Ask, sockdir: Path, behave: Callable[[socket.socket], object]
) -> None:
    path = sockdir / "control.sock"
    with other_server(path, behave), pytest.raises(LocalechodError) as caught:
        ask(path)
    assert str(caught.value) == (
        f"control call failed: the server is not localechod: {path}; "
        "name its control socket with --control"
    )
    assert caught.value.exit_status == 1


def test_a_server_that_closes_at_once_is_a_lost_connection(ask: Ask, sockdir: Path) -> None:
    path = sockdir / "control.sock"
    with (
        other_server(path, lambda c: c.shutdown(socket.SHUT_WR)),
        pytest.raises(ConnectionLostError) as caught,
    ):
        ask(path)
    assert "the connection was closed before the reply" in str(caught.value)
    assert caught.value.exit_status == 1


def test_a_silent_server_is_a_timeout(
    ask: Ask, sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sockdir / "control.sock"
    look_no_longer_than(0.05, monkeypatch)
    with (
        other_server(path, lambda _: None),
        pytest.raises(LocalechodError, match=r"no reply within 0\.05 s: /tmp"),
    ):
        ask(path)


def test_a_full_backlog_is_a_timeout(
    ask: Ask, sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sockdir / "control.sock"
    look_no_longer_than(0.05, monkeypatch)
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as waiting:
        full.bind(str(path))
        full.listen(0)
        waiting.connect(str(path))
        with pytest.raises(SocketError, match=r"Resource temporarily unavailable \(11\)"):
            ask(path)


def test_both_clients_return_the_same(sockdir: Path) -> None:
    path = sockdir / "control.sock"
    with live(path) as daemon:
        daemon.supervisor.rows["stream"] = endpoint(
            "stream", errors={"connection_reset": 3}, error="why"
        )
        assert by_h2(path) == by_grpclib(path)
        assert [row.name for row in Client(str(path)).status(["datagram"]).endpoints] == [
            "datagram"
        ]


@pytest.mark.parametrize("names", [["none"], ["stream", "n\u00f6\n" * 1000]])
def test_both_clients_raise_the_same_error(names: list[str], sockdir: Path) -> None:
    path = sockdir / "control.sock"

    async def main() -> None:
        async with EventClient(str(path)) as client:
            await client.status(names)

    with live(path):
        with pytest.raises(LocalechodError) as by_loop:
            run(asyncio.new_event_loop, main)
        with pytest.raises(LocalechodError) as plain:
            Client(str(path)).status(names)
    assert type(plain.value) is type(by_loop.value)
    assert str(plain.value) == str(by_loop.value)
    assert plain.value.exit_status == 2


def test_a_request_longer_than_a_frame_is_sent_in_parts(sockdir: Path) -> None:
    path = sockdir / "control.sock"
    with live(path):
        assert [row.name for row in Client(str(path)).status(["stream"] * 8000).endpoints] == [
            "stream"
        ]
        with pytest.raises(LocalechodError, match="at most 65536 are read"):
            Client(str(path)).status(["stream"] * 20_000)


def test_a_reply_longer_than_the_flow_control_window_arrives_whole(sockdir: Path) -> None:
    path = sockdir / "control.sock"
    row = PeerRow(
        endpoint="stream",
        pid=1,
        uid=0,
        connected_seconds=1.5,
        messages=2,
        received_bytes=3,
        sent_bytes=4,
    )
    with live(path) as daemon:
        daemon.supervisor.connected = [row] * 20_000
        assert Client(str(path)).peers().peers == [row] * 20_000


def test_a_daemon_that_resets_the_call_is_a_lost_connection(sockdir: Path) -> None:
    path = sockdir / "control.sock"
    settings = bytes(3) + b"\4" + bytes(5)
    reset = b"\0\0\4\3\0\0\0\0\1\0\0\0\x0b"
    with (
        other_server(path, lambda c: c.sendall(settings + reset)),
        pytest.raises(ConnectionLostError),
    ):
        by_h2(path)


def test_a_reply_that_cannot_be_decoded_is_no_reply_of_localechod(
    sockdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call._Call, "answer", lambda *_: b"\xff")
    with live(sockdir / "control.sock"), pytest.raises(LocalechodError, match="is not localechod"):
        by_h2(sockdir / "control.sock")


def test_an_abstract_control_socket_works_as_well(sockdir: Path) -> None:
    name = f"localechod-{os.getpid()}-{sockdir.name}"

    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"\0{name}")
            listening.listen()
            server = ControlServer(FakeDaemon(), admins=(), own_uid=0)
            await server.start(listening)
            async with EventClient(f"@{name}") as client:
                assert (await client.status()).endpoints
            await server.close(1.0)

    run(asyncio.new_event_loop, main)
