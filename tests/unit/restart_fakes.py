"""A store without a manager, and lives of the data plane one after the other in one process."""

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from localechod import config
from localechod.daemon import crash, restart
from localechod.daemon.inherited import EndpointStore, parse
from localechod.echo.binding import Owner
from localechod.echo.datagram.server import DatagramServer
from localechod.echo.persist.snapshot import ServiceSnapshot
from localechod.echo.supervisor import Supervisor
from localechod.host.fdstore import Store
from localechod.host.systemd import Notifier
from tests.unit.loops import run, running_reactor

SECONDS = 10.0


class Kept(Store):
    """Holds duplicates as systemd would."""

    def __init__(self) -> None:
        super().__init__(Notifier({}))
        self.held: dict[str, list[int]] = {}

    @property
    def capacity(self) -> int:
        return 20

    def keep(self, name: str, descriptor: int) -> None:
        if name not in self.held:  # systemd knows what it has already
            self.held[name] = [os.dup(descriptor)]

    def drop(self, name: str) -> None:
        for descriptor in self.held.pop(name, []):
            os.close(descriptor)

    def pass_on(self) -> dict[str, list[int]]:
        return {name: [os.dup(fd) for fd in fds] for name, fds in self.held.items()}

    def close(self) -> None:
        for name in list(self.held):
            self.drop(name)


def live(
    store: Kept,
    directory: Path,
    text: str,
    act: Callable[[Supervisor], Awaitable[None]],
) -> None:
    """Live as one process does from a restart to the next one, without saying goodbye.

    Args:
        store: what is kept from life to life.
        directory: the runtime directory.
        text: the configuration's endpoints.
        act: what happens meanwhile.
    """

    async def life() -> None:
        owner = Owner(os.geteuid(), os.getegid())
        loaded = config.parse(f"version = 1\n{text}", directory, "test")
        reactor = running_reactor()
        inherited = parse(store.pass_on())
        state = restart.read_state(inherited.state)
        slots = crash.memory(inherited.crash_slots, store)
        opened = restart.take_over(loaded, owner, inherited, store)
        states, sockets = restart.receive(inherited.connections, state)
        revived, survivors = crash.revive(inherited.crash_kept, slots, states, loaded, store)
        keeper = EndpointStore(store, slots)
        supervisor = Supervisor(loaded, reactor, owner, keeper, dropped=False)
        supervisor.begin(opened)
        supervisor.thaw([*states, *revived], [*sockets, *survivors])
        restart.discard(store)
        await act(supervisor)
        endpoints, sockets = supervisor.freeze()
        after = ServiceSnapshot(started=time.monotonic(), endpoints=endpoints)
        restart.pack(after, sockets, store)
        for sock in sockets:
            sock.close()
        for endpoint in supervisor._endpoints.values():
            if endpoint._server is not None:
                endpoint._server._bound.close()
            if isinstance(endpoint._server, DatagramServer):
                endpoint._server._proven_senders.close()

    run(life(), SECONDS)
