"""A whole service on a loop that a test runs step by step: real sockets, real files, one process.

What the loop would only print, an exception in a callback or a task, is kept and fails the test:
`IllegalTransitionError` in a timer must not pass unseen.
"""

import asyncio
import gc
import os
import resource
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from localechod import config
from localechod.daemon import crash, restart
from localechod.daemon.inherited import EndpointStore, parse
from localechod.daemon.launch import Launch
from localechod.daemon.service import Service
from localechod.echo import retry
from localechod.echo.binding import Owner
from localechod.echo.endpoint import Endpoint
from localechod.echo.eventloop import EventLoop
from localechod.echo.persist import crash_keep
from localechod.echo.persist.snapshot import ServiceSnapshot
from localechod.echo.reactor import Reactor
from localechod.echo.stream import listener
from localechod.echo.supervisor import Supervisor
from localechod.host.systemd import Notifier
from tests.unit.restart_fakes import Kept

T = TypeVar("T")
Tables = Mapping[str, Mapping[str, object]]

SECONDS = 20.0

# So many turns of the loop carry anything that is in the kernel already through both epolls, a
# callback and a task.
_TURNS = 8


class Store(Kept):
    """As over the real notify socket: what cannot be sent for want of a descriptor is not kept."""

    def keep(self, name: str, descriptor: int) -> None:
        """Hold a duplicate."""
        with suppress(OSError):
            super().keep(name, descriptor)


class World:
    """One service, from its first start to its end, over any number of restarts.

    Args:
        tables: the endpoints' settings, as in a configuration file.
    """

    def __init__(self, tables: Tables) -> None:
        self.problems: list[str] = []
        gc.collect()  # or what the world before this one has left goes while this one lives
        self.before = inventory()
        self.directory = Path(tempfile.mkdtemp(prefix="lf-", dir="/tmp"))
        # Called by end(); after a failure, when this object goes.
        self._remove = weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)
        self.control = str(self.directory / "control.sock")
        self._file = self.directory / "localechod.toml"
        # A second of rest is long where thousands of them follow each other.
        self._paces = (listener._PAUSE, retry._FIRST, retry._CAP, crash_keep.AGE)
        listener._PAUSE, retry._FIRST, retry._CAP, crash_keep.AGE = 0.01, 0.01, 0.05, 0.01
        self._reactor = Reactor()
        self.loop = EventLoop(self._reactor)
        self.loop.set_exception_handler(self._remember)
        self._store = Store()
        self.write(tables)
        self._begin()

    def write(self, tables: Tables) -> config.Config:
        """Write the configuration file; a reload or a restart reads it."""
        self._file.write_text(tomli_w.dumps({"version": 1, "endpoints": tables}), "utf-8")
        return config.load(self._file, self.directory)

    @property
    def supervisor(self) -> Supervisor:
        """The endpoints."""
        return self.service.supervisor

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """The endpoints themselves."""
        return self.supervisor._endpoints

    def do(self, work: Awaitable[T]) -> T:
        """Run something to its end on the loop, with a deadline."""
        return self.loop.run_until_complete(asyncio.wait_for(work, SECONDS))

    def stored(self) -> int:
        """Count the descriptors that the store holds, which a real one would hold elsewhere."""
        return sum(map(len, self._store.held.values()))

    def reload(self) -> None:
        """Read the configuration file again; raises what a reload raises."""
        self.do(self.service.reload())

    def settle(self) -> None:
        """Let everything that has happened already be served."""
        self.do(_turns())

    def until(self, condition: Callable[[], bool], how_it_is: Callable[[], object]) -> None:
        """Let the loop turn until something is so; or say how it is instead."""

        async def wait() -> None:
            deadline, turns = time.monotonic() + SECONDS, 0
            while not condition():
                assert time.monotonic() < deadline, how_it_is()
                turns += 1
                await asyncio.sleep(0 if turns < _TURNS else 0.0005)  # most is there in a few

        self.loop.run_until_complete(wait())

    def restart(self) -> None:
        """Hand everything over to a next life, as over `systemctl restart`."""
        self.do(self.service._control.close())
        endpoints, sockets = self.supervisor.freeze()
        after = ServiceSnapshot(started=time.monotonic(), endpoints=endpoints)
        restart.pack(after, sockets, self._store)
        self.supervisor.events.close()
        for endpoint in self.endpoints.values():
            if endpoint._server is not None:
                endpoint._server._bound.close()
                for connection in getattr(endpoint._server, "_connections", ()):
                    connection.slot_byte = None  # a view of the memory, which is closed below
                if endpoint.config.type == "datagram":
                    endpoint._server._pinned_senders.close()  # type: ignore[union-attr] # by its type
                    endpoint._server._proven_senders.close()  # type: ignore[union-attr] # by its type
            endpoint.close()
        for sock in sockets:
            sock.close()
        bound = self.service._control._bound
        assert bound is not None
        bound.close()
        self._reactor.resume()  # a process has one of its own
        self._close_memory()
        self._begin()

    def starve(self, action: Callable[[], object] = lambda: None) -> None:
        """Let what has happened be served, and do something, without one descriptor left."""

        async def starved() -> None:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            lowest = os.dup(0)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            try:
                await _turns()
                action()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        self.do(starved())

    def _close_memory(self) -> None:
        # A connection may be part of a cycle still, such as an exception's traceback makes: it has
        # a view of the memory, which cannot be closed then (BufferError).
        gc.collect()
        self._memory.close()

    def end(self) -> None:
        """End as the service does, then see that nothing is left: no descriptor, task or timer."""
        self.do(self.supervisor.drain(SECONDS))
        self.supervisor.events.close()
        self.do(self.service._control.close())
        self.service._control.remove()
        self._close_memory()
        self._store.close()
        self.settle()
        tasks = asyncio.all_tasks(self.loop)
        timers = [t for t in self.loop._scheduled if not t.cancelled()]  # type: ignore[attr-defined]
        self._reactor.stop_alarm()  # or a signal kills the test process when it ends
        self.loop.close()
        listener._PAUSE, retry._FIRST, retry._CAP, crash_keep.AGE = self._paces
        self._remove()
        gc.collect()
        assert not self.problems, self.problems
        assert not tasks, tasks
        assert not timers, timers
        assert inventory() == self.before, (inventory(), self.before)

    def _begin(self) -> None:
        async def begin() -> None:
            loaded = config.load(self._file, self.directory)
            owner = Owner(os.geteuid(), os.getegid())
            inherited = parse(self._store.pass_on())
            state = restart.read_state(inherited.state)
            slots = crash.memory(inherited.crash_slots, self._store)
            assert isinstance(slots._memory, mmap)
            self._memory = slots._memory  # it has a descriptor
            opened = restart.take_over(loaded, owner, inherited, self._store)
            states, sockets = restart.receive(inherited.connections, state)
            revived, survivors = crash.revive(
                inherited.crash_kept, slots, states, loaded, self._store
            )
            launch = Launch(
                file=self._file,
                directory=self.directory,
                config=loaded,
                owner=owner,
                opened=opened,
                control=inherited.control,
                started=time.monotonic(),
                states=[*states, *revived],
                sockets=[*sockets, *survivors],
                slots=slots,
                remark="",
                dropped=False,
            )
            self.service = Service(launch, Notifier({}), self._store, self._reactor)
            keeper = EndpointStore(self._store, slots)
            self.service.supervisor = Supervisor(
                loaded, self._reactor, owner, keeper, dropped=False
            )
            self.supervisor.begin(opened)
            self.supervisor.thaw(launch.states, launch.sockets)
            restart.discard(self._store)
            assert not self.service._control.open(loaded.control, owner, launch.control)
            await self.service._control.serve(self.service, loaded.control.admins)

        self.do(begin())

    def _remember(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.problems.append(f"{context['message']}: {context.get('exception')!r}")


async def _turns() -> None:
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    for _ in range(_TURNS):
        # After a turn of traffic asyncio has some milliseconds to itself. All of these turns may
        # take less: then no socket would be served.
        selector._until = 0.0
        await asyncio.sleep(0)


def inventory() -> tuple[int, int]:
    """Count what must not grow: open descriptors and threads of this process."""
    return len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208 - a count
