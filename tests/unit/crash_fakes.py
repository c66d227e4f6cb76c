"""One connection whose process is killed at a step of the test's choosing, and its next process.

The steps are the actions whose effect outlives the process: a store into the slot, a read, a write,
a message to the store. A kill comes before a step or after it; a long write may also be cut by it.
Here the process is this one, and a kill is an exception. In crash_child.py it is a real process.
"""

import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from localechod.config import Config, ControlConfig, EndpointConfig, ServiceConfig
from localechod.daemon import crash
from localechod.daemon.inherited import EndpointStore, parse
from localechod.echo.counters import Counters
from localechod.echo.faults import EndpointFaults
from localechod.echo.passed import PassedDescriptors
from localechod.echo.persist import crash_slots
from localechod.echo.persist.crash_keep import CrashKeeper
from localechod.echo.persist.crash_slots import Slots, format_memory, size
from localechod.echo.reactor import Reactor
from localechod.echo.stream import connection, framed, seqpacket
from localechod.echo.stream.buffers import BufferBudget
from localechod.echo.stream.connection import Connection
from localechod.echo.stream.framed import StreamConnection
from localechod.echo.stream.seqpacket import SeqpacketConnection
from localechod.localsocket.peer import credentials
from tests.unit.loops import new_loop
from tests.unit.restart_fakes import Kept

SLOTS = 2

# The send buffer is small, so that replies are unsent; half of what the kernel makes of it, less
# 64, is what it takes as one piece.
_BUFFER = 8192
ONE_PIECE = _BUFFER - 64

# The bytes of a write that is cut by a kill.
CUT = 1000


class Killed(BaseException):
    """SIGKILL: no code of the process runs after it."""


class Steps:
    """Counts the steps of a process, and kills it at one of them.

    Attributes:
        taken: the number of steps of this process; `end`: the one at which it is killed.
        kinds: the steps of all processes, by kind.
    """

    def __init__(self) -> None:
        self.taken = 0
        self.end = -1
        self.kinds: Counter[str] = Counter()

    def take(self, kind: str) -> None:
        self.taken += 1
        self.kinds[kind] += 1
        if self.taken == self.end:
            raise Killed


class Memory(bytearray):
    """Each store of a byte is a step."""

    steps = Steps()

    def __setitem__(self, at: Any, value: Any) -> None:
        self.steps.take("store entry")
        super().__setitem__(at, value)
        self.steps.take("store exit")


class SteppedSocket(socket.socket):
    """Each recvmsg is a step; other system calls go by the descriptor, see SteppedOs."""

    steps = Steps()

    def recvmsg(self, *args: Any) -> Any:
        self.steps.take("recvmsg entry")
        result = super().recvmsg(*args)
        self.steps.take("recvmsg exit")
        return result


class SteppedOs:
    """Takes the place of the module `os`: each read and write is a step.

    A write that the kernel may cut can be killed half way.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def read(self, descriptor: int, count: int) -> bytes:
        self._steps.take("read entry")
        data = os.read(descriptor, count)
        self._steps.take("read exit")
        return data

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self._steps.take("write entry")
        if may_be_cut(descriptor, len(data)):
            try:
                self._steps.take("write cut")
            except Killed:
                with suppress(BlockingIOError):
                    os.write(descriptor, data[:CUT])
                raise
        sent = os.write(descriptor, data)
        self._steps.take("write exit")
        return sent


def may_be_cut(descriptor: int, size: int) -> bool:
    """Whether a kill may leave a part of such a write in the peer's queue."""
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        return size > ONE_PIECE and sock.type == socket.SOCK_STREAM


class Store(Kept):
    """Each message is a step."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps

    def keep(self, name: str, descriptor: int) -> None:
        self._steps.take("put entry")
        super().keep(name, descriptor)
        self._steps.take("put exit")

    def drop(self, name: str) -> None:
        self._steps.take("remove entry")
        super().drop(name)
        self._steps.take("remove exit")


class Port:
    """The listener's side of the connection."""

    faults: EndpointFaults
    passed: PassedDescriptors

    def __init__(self, reactor: Reactor, config: EndpointConfig, crash_keeper: CrashKeeper) -> None:
        self.reactor = reactor
        self.config = config
        self.crash_keeper = crash_keeper
        self.counters = Counters()
        self.buffers = BufferBudget()
        self.socket_type = 0  # a socket object is there from the beginning

    def observe(self, messages: Sequence[bytes], uid: int) -> None:
        """Log nothing."""

    def failed(self, error: Exception) -> None:
        """Let the test fail."""
        raise error

    def linger(self, sock: socket.socket, _uid: int) -> None:
        """See stream.port.Port."""
        sock.close()

    def connection_closed(self, connection: Connection) -> None:
        """Do nothing."""


class World:
    """The client's end, what is stored, and one process after the other."""

    def __init__(self, config: EndpointConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = Memory.steps = SteppedSocket.steps = Steps()
        self.config = config
        self.store = Store(self.steps)
        self.memory = self._memory()
        format_memory(self.memory, SLOTS)
        self.kind = socket.SOCK_STREAM if config.type == "stream" else socket.SOCK_SEQPACKET
        for module in (connection, framed, seqpacket):
            monkeypatch.setattr(module, "os", SteppedOs(self.steps))
        self._loop = new_loop()
        self._reactor = self._loop.reactor
        self._process: Connection | None = None
        ours, self.client = socket.socketpair(socket.AF_UNIX, self.kind)
        self.client.setblocking(False)
        ours.setblocking(False)
        self._ours = SteppedSocket(fileno=ours.detach())
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)

    def begin(self) -> None:
        """The first process: it accepts the client, and keeps the connection for a crash."""
        crash_keeper = self._crash_keeper()
        connection = self._connect(self._ours, crash_keeper)
        connection.accepted_at = -10.0
        crash_keeper.enter(connection)
        crash_keeper._keep()

    def go_on(self, config: EndpointConfig | None = None) -> bool:
        """The process after a crash; False if it closes the connection."""
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
            connection = self._connect(SteppedSocket(fileno=sock.detach()), crash_keeper)
            crash_keeper.enter(connection)
            connection.thaw(known)
            crash_keeper.resume(connection, known.serial)
        crash_keeper.all_resumed()
        return bool(states)

    def restart(self) -> None:
        """The process after a planned restart; it gets the socket from this one."""
        state = self.process.freeze()
        sock = SteppedSocket(fileno=os.dup(self.process.fd))
        end = self.steps.end
        self._die()
        slots = Slots(self.memory)
        for descriptor in parse(self.store.pass_on()).descriptors():
            os.close(descriptor)
        crash_keeper = CrashKeeper(self._loop, EndpointStore(self.store, slots), 1)
        crash_keeper.reserve(1)
        connection = self._connect(sock, crash_keeper)
        crash_keeper.enter(connection)
        connection.thaw(state)
        self.steps.end = end
        crash_keeper.resume(connection, state.serial)
        crash_keeper.all_resumed()

    def serve(self) -> None:
        """Let the process serve whatever is ready."""
        while self.alive and self._reactor.turn():
            pass

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.fd >= 0

    @property
    def process(self) -> Connection:
        assert self._process is not None
        return self._process

    def killed(self, action: Callable[[], None]) -> bool:
        """Call it; True if the process was killed meanwhile."""
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
        self._loop.close()

    def _memory(self) -> crash_slots.Memory:
        return Memory(size(SLOTS))

    def _crash_keeper(self) -> CrashKeeper:
        crash_keeper = CrashKeeper(self._loop, EndpointStore(self.store, Slots(self.memory)), 1)
        crash_keeper.reserve(1)
        return crash_keeper

    def _connect(self, sock: socket.socket, crash_keeper: CrashKeeper) -> Connection:
        port = Port(self._reactor, self.config, crash_keeper)
        kind = StreamConnection if self.config.type == "stream" else SeqpacketConnection
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, self.config.type == "seqpacket")
        peer = credentials(sock)
        process = kind.model(port).begin(sock.fileno(), peer.pid, peer.uid, peer.gid)
        process._sock = sock
        self._process = process
        return process

    def _die(self) -> None:
        self.steps.end = -1
        if self._process is not None and self._process.fd >= 0:
            if self._process.fd in self._reactor:
                self._reactor.unregister(self._process.fd)
            self._process.sock.close()
        self._process = None
