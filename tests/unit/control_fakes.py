"""A fake daemon behind a real control server."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from localechod.control.client import Client
from localechod.control.events import EventClient
from localechod.control.messages import (
    DaemonInfo,
    PeersReport,
    ReceivedEvent,
    ReloadReport,
    StatusReport,
)
from localechod.control.server import ControlServer
from localechod.echo.events import Event, EventBus
from localechod.echo.peer_log import PeerLog
from localechod.echo.status import EndpointStatus, PeerRow
from localechod.echo.supervisor import UnknownEndpointError
from tests.unit.loops import new_loop

if TYPE_CHECKING:
    from localechod.errors import LocalechodError

T = TypeVar("T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]

LOOPS: dict[str, LoopFactory] = {
    "asyncio": asyncio.new_event_loop,
    "reactor": new_loop,
}
on_each_loop = pytest.mark.parametrize("factory", LOOPS.values(), ids=LOOPS)
NOBODY = 65534
SECONDS = 20.0
OWN_UID = os.geteuid()  # of the daemon, and so an administrator's


def endpoint(name: str, state: str = "listening", **fields: Any) -> EndpointStatus:
    """Return a row in which only what a test is about has to be named."""
    values: dict[str, Any] = {
        "name": name,
        "type": "stream",
        "state": state,
        "path": f"/run/localechod/{name}.sock",
        "mode": "0666",
        "owner": "localecho",
        "group": "localecho",
        "framing": "line",
        "connections": 2,
        "accepted_total": 3,
        "messages_total": 4,
        "received_bytes_total": 50,
        "sent_bytes_total": 66,
    }
    return EndpointStatus(**(values | fields))


def about(**fields: Any) -> DaemonInfo:
    """Return a daemon of which only what a test is about has to be named."""
    values: dict[str, Any] = {
        "version": "0.1.0",
        "pid": 4242,
        "user": "localecho",
        "uid": 990,
        "uptime_seconds": 192.5,
        "config": "/etc/localechod/localechod.toml",
        "runtime_dir": "/run/localechod",
        "restart_needed": [],
        "log_lines_left_out_total": 0,
    }
    return DaemonInfo(**(values | fields))


class FakeSupervisor:
    """Endpoints that are only rows; `failures` are raised by the change of that name."""

    def __init__(self) -> None:
        self.events = EventBus()
        self.peer_log = PeerLog()
        self.rows = {name: endpoint(name) for name in ("stream", "datagram")}
        self.failures: dict[str, LocalechodError] = {}
        self.connected: list[PeerRow] = []
        self.calls: list[tuple[str, str]] = []
        self.asked = threading.Event()  # for its state

    def status(self, names: Collection[str] = ()) -> list[EndpointStatus]:
        self.asked.set()
        return [self._named(name) for name in names or self.rows]

    def each_status(self, names: Collection[str] = ()) -> Iterator[EndpointStatus]:
        return iter(self.status(names))

    def states(self) -> dict[str, str]:
        return {name: row.state for name, row in self.rows.items()}

    def peers(self, name: str | None, uid: int | None) -> Iterator[PeerRow]:
        if name is not None:
            self._named(name)
        here = [row for row in self.connected if name in {None, row.endpoint}]
        return (row for row in here if uid in {None, row.uid})

    def start(self, name: str) -> None:
        self._change("start", name, "listening")

    def stop(self, name: str) -> None:
        self._change("stop", name, "stopped")

    def restart(self, name: str) -> None:
        self._change("restart", name, "listening")

    def become(self, name: str, state: str) -> None:
        self.rows[name] = replace(self.rows[name], state=state)
        self.events.publish(Event("state", name, f"{name} is {state}", state=state))

    def _named(self, name: str) -> EndpointStatus:
        if name not in self.rows:
            raise UnknownEndpointError(f'there is no endpoint "{name}"', "there are: stream")
        return self.rows[name]

    def _change(self, what: str, name: str, state: str) -> None:
        self._named(name)
        self.calls.append((what, name))
        if name in self.failures:
            raise self.failures[name]
        self.become(name, state)


class FakeDaemon:
    """Returns the values that a test has set; a reload waits until `may_reload` is set."""

    def __init__(self) -> None:
        self.supervisor = FakeSupervisor()
        self.report = ReloadReport(added=("new",), unchanged=("stream",))
        self.failure: Exception | None = None
        self.reload_began = asyncio.Event()
        self.may_reload = asyncio.Event()
        self.may_reload.set()
        self.reloads = 0
        self.toml = 'version = 1\n[service]\nuser = "localecho"\n'
        self.restart_needed: list[str] = []

    def info(self) -> DaemonInfo:
        return about(
            restart_needed=self.restart_needed,
            log_lines_left_out_total=self.supervisor.peer_log.left_out,
        )

    async def reload(self) -> ReloadReport:
        self.reload_began.set()
        await self.may_reload.wait()
        if self.failure:
            raise self.failure
        self.reloads += 1
        return self.report

    def config_text(self) -> str:
        return self.toml


def listener(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    path.chmod(0o666)
    sock.listen()
    return sock


def run(factory: LoopFactory, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run an asynchronous test, which fails instead of hanging."""

    async def bounded() -> T:
        async with asyncio.timeout(SECONDS):
            return await main()

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(bounded())


@asynccontextmanager
async def served(
    path: Path, daemon: FakeDaemon, admins: Collection[str] = (), own_uid: int = OWN_UID
) -> AsyncIterator[ControlServer]:
    """Serve a fake daemon on this loop."""
    server = ControlServer(daemon, admins=admins, own_uid=own_uid)
    await server.start(listener(path))
    try:
        yield server
    finally:
        await server.close(1.0)  # once more, where a test has closed it already
        os.unlink(path)  # noqa: PTH108 - pathlib's may not be called in a coroutine


class ThreadedClient(EventClient):
    """Both clients in one, for tests that serve on the loop they ask from.

    Events come over grpclib; the blocking calls wait in a thread, each on its own connection.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._client = Client(path)

    async def status(self, names: Sequence[str] = ()) -> StatusReport:
        return await asyncio.to_thread(self._client.status, names)

    async def start(self, name: str) -> EndpointStatus:
        return await asyncio.to_thread(self._client.start, name)

    async def stop(self, name: str) -> EndpointStatus:
        return await asyncio.to_thread(self._client.stop, name)

    async def restart(self, name: str) -> EndpointStatus:
        return await asyncio.to_thread(self._client.restart, name)

    async def reload(self) -> ReloadReport:
        return await asyncio.to_thread(self._client.reload)

    async def peers(self, endpoint: str | None = None) -> PeersReport:
        return await asyncio.to_thread(self._client.peers, endpoint)

    async def past(self, recent: int) -> list[ReceivedEvent]:
        return await asyncio.to_thread(self._client.events, recent)

    async def config(self) -> str:
        return await asyncio.to_thread(self._client.config)


class Live:
    """A fake daemon on a loop of its own, for commands that block or run a loop themselves."""

    def __init__(
        self,
        path: Path,
        admins: Collection[str] = (),
        own_uid: int = OWN_UID,
        initially: str = "listening",
    ) -> None:
        self.path = path
        self._initially = initially
        self._admins = admins
        self._own_uid = own_uid
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    @property
    def supervisor(self) -> FakeSupervisor:
        return self.daemon.supervisor

    def do(self, action: Callable[..., object], *arguments: object) -> None:
        """Run an action on the daemon's loop, and wait until it is done."""
        done = threading.Event()

        def doing() -> None:
            action(*arguments)
            done.set()

        self._loop.call_soon_threadsafe(doing)
        assert done.wait(SECONDS)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(SECONDS)

    def stop(self) -> None:
        """End it; a second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def abort_connections(self) -> None:
        """Abort every connection, as a daemon that ends, and serve on."""
        for transport in list(self._server._interceptor.connections):
            transport.abort()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.daemon = FakeDaemon()
        for name in self.supervisor.rows:
            self.supervisor.rows[name] = endpoint(name, self._initially)
        async with served(self.path, self.daemon, self._admins, self._own_uid) as self._server:
            self._ready.set()
            await self._stop.wait()


@contextmanager
def live(
    path: Path, admins: Collection[str] = (), own_uid: int = OWN_UID, initially: str = "listening"
) -> Iterator[Live]:
    daemon = Live(path, admins, own_uid, initially)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


# It ends by os._exit: coverage data could not be written as that user.
_AS_USER = """
import os, sys
from tests.everything import import_everything
import_everything()
from localechod.ctl import app
uid, gid, *groups = map(int, sys.argv.pop(1).split(","))
os.setgroups(groups); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
code = app.run(sys.argv[1:])
sys.stderr.flush()
os._exit(code)
"""


def ctl_as(
    uid: int, path: Path, *arguments: str, groups: Collection[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Run localechoctl in a process that has become another user for good."""
    ids = ",".join(map(str, (uid, NOBODY, *groups)))
    return subprocess.run(
        [sys.executable, "-c", _AS_USER, ids, "--control", str(path), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * SECONDS,  # it imports everything, compiled by nobody who could keep that
    )
