"""One connection whose process is killed at a step of the test's choosing, and goes on in another.

The steps are those that leave something behind: a store into the slot, a read, a send, a message to
the store. A kill comes before a step or after it; a long send may also be cut by it.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from localechod.config import Config, ControlConfig, EndpointConfig, ServiceConfig
from localechod.daemon import crash
from localechod.daemon.inherited import EndpointStore, parse
from localechod.echo.counters import Counters
from localechod.echo.persist.crash_keep import CrashKeeper
from localechod.echo.persist.crash_slots import Slots, format_memory, size
from localechod.echo.reactor import Reactor
from localechod.echo.stream import framed
from localechod.echo.stream.buffers import BufferBudget
from localechod.echo.stream.connection import Connection
from localechod.echo.stream.framed import StreamConnection
from localechod.echo.stream.seqpacket import SeqpacketConnection
from localechod.localsocket.peer import Credentials, credentials
from tests.unit.restart_fakes import Kept

SLOTS = 2

# The send buffer is small, so that replies are unsent; half of what the kernel makes of it, less
# 64, is what it takes as one piece.
_BUFFER = 8192
ONE_PIECE = _BUFFER - 64


class Killed(BaseException):
    """SIGKILL: nothing runs after it."""


class Fate:
    """Counts steps, and kills at one of them."""

    def __init__(self) -> None:
        self.steps = 0
        self.end = -1

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.end:
            raise Killed


class Memory(bytearray):
    """Each plain store is a step."""

    fate = Fate()

    def __setitem__(self, at: Any, value: Any) -> None:
        self.fate.step()
        super().__setitem__(at, value)
        self.fate.step()


class Socket(socket.socket):
    """Each send is a step; one that the kernel may cut can be killed half way."""

    fate = Fate()

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:  # type: ignore[override]
        self.fate.step()
        try:
            if len(data) > ONE_PIECE and self.type == socket.SOCK_STREAM:
                self.fate.step()
        except Killed:
            super().send(data[:1000], flags)
            raise
        sent = super().send(data, flags)
        self.fate.step()
        return sent


class Store(Kept):
    """Each message is a step."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate

    def keep(self, name: str, descriptor: int) -> None:
        self._fate.step()
        super().keep(name, descriptor)
        self._fate.step()

    def drop(self, name: str) -> None:
        self._fate.step()
        super().drop(name)
        self._fate.step()


class Port:
    """A listener's side of the connection."""

    def __init__(self, reactor: Reactor, config: EndpointConfig, crash_keeper: CrashKeeper) -> None:
        self.reactor = reactor
        self.config = config
        self.crash_keeper = crash_keeper
        self.counters = Counters()
        self.buffers = BufferBudget()

    def observe(self, message: bytes) -> None:
        """Nobody looks."""

    def connection_closed(self, connection: Connection) -> None:
        """Nobody waits for its place."""


class World:
    """The client's end, what is stored, and one process after the other."""

    def __init__(self, config: EndpointConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fate = Memory.fate = Socket.fate = Fate()
        self.config = config
        self.store = Store(self.fate)
        self.memory = Memory(size(SLOTS))
        format_memory(self.memory, SLOTS)
        self.kind = socket.SOCK_STREAM if config.type == "stream" else socket.SOCK_SEQPACKET
        monkeypatch.setattr(framed, "os", SimpleNamespace(read=self._read))
        self._loop = asyncio.new_event_loop()
        self._reactor = Reactor(self._loop)
        self._process: Connection | None = None
        ours, self.client = socket.socketpair(socket.AF_UNIX, self.kind)
        self.client.setblocking(False)
        ours.setblocking(False)
        self._ours = Socket(fileno=ours.detach())
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)

    def _read(self, descriptor: int, count: int) -> bytes:
        self.fate.step()
        data = os.read(descriptor, count)
        self.fate.step()
        return data

    def begin(self) -> None:
        """The first process: it accepts the client, and keeps it."""
        crash_keeper = self._crash_keeper()
        connection = self._connect(self._ours, credentials(self._ours), crash_keeper)
        connection.accepted_at = -10.0
        crash_keeper.enter(connection)
        crash_keeper._hold()

    def go_on(self, config: EndpointConfig | None = None) -> bool:
        """The next process; False where it does not go on with the client."""
        self.config = config or self.config
        self._die()
        slots = Slots(self.memory)
        endpoints = {} if not self.config.enabled else {self.config.name: self.config}
        whole = Config(service=ServiceConfig(), control=ControlConfig(), endpoints=endpoints)
        kept = parse(self.store.pass_on()).crash_kept
        states, sockets = crash.revive(kept, slots, (), whole, self.store)
        crash_keeper = CrashKeeper(self._loop, EndpointStore(self.store, slots), 1)
        crash_keeper.reserve(1)
        for state, sock in zip(states, sockets, strict=True):
            (known,) = state.connections
            peer = Credentials(known.pid, known.uid, known.gid, frozenset(known.groups))
            connection = self._connect(Socket(fileno=sock.detach()), peer, crash_keeper)
            crash_keeper.enter(connection)
            connection.thaw(known)
            crash_keeper.resume(connection, known.serial)
        crash_keeper.all_resumed()
        return bool(states)

    def restart(self) -> None:
        """The next process, by a planned restart; it has the socket from this one."""
        state = self.process.freeze()
        sock = Socket(fileno=os.dup(self.process.fd))
        peer, end = self.process.peer, self.fate.end
        self._die()
        slots = Slots(self.memory)
        for descriptor in parse(self.store.pass_on()).descriptors():
            os.close(descriptor)
        crash_keeper = CrashKeeper(self._loop, EndpointStore(self.store, slots), 1)
        crash_keeper.reserve(1)
        connection = self._connect(sock, peer, crash_keeper)
        crash_keeper.enter(connection)
        connection.thaw(state)
        self.fate.end = end
        crash_keeper.resume(connection, state.serial)
        crash_keeper.all_resumed()

    def serve(self) -> None:
        """Let the process do what there is to do."""
        while self.alive and self._reactor._epoll.poll(0):
            self._reactor._dispatch()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.sock.fileno() >= 0

    @property
    def process(self) -> Connection:
        assert self._process is not None
        return self._process

    def killed(self, action: Callable[[], None]) -> bool:
        """Do it; True where the process was killed meanwhile."""
        try:
            action()
        except Killed:
            return True
        return False

    def close(self) -> None:
        self._die()
        self.client.close()
        self._ours.close()
        self.store.close()
        self._reactor.close()
        self._loop.close()

    def _crash_keeper(self) -> CrashKeeper:
        crash_keeper = CrashKeeper(self._loop, EndpointStore(self.store, Slots(self.memory)), 1)
        crash_keeper.reserve(1)
        return crash_keeper

    def _connect(self, sock: Socket, peer: Credentials, crash_keeper: CrashKeeper) -> Connection:
        port = Port(self._reactor, self.config, crash_keeper)
        kind = StreamConnection if self.config.type == "stream" else SeqpacketConnection
        self._process = kind(sock, peer, port)
        return self._process

    def _die(self) -> None:
        self.fate.end = -1
        if self._process is not None and self._process.sock.fileno() >= 0:
            if self._process.fd in self._reactor:
                self._reactor.unregister(self._process.fd)
            self._process.sock.close()
        self._process = None
