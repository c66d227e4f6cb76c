"""The supervisor: it has all endpoints, starts, stops and changes them, and describes them."""

import asyncio
import errno
import logging
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from localechod.config import Changes, Config, EndpointConfig
from localechod.echo.bind_permission import BindPermission
from localechod.echo.binding import Opened, Owner
from localechod.echo.context import Context
from localechod.echo.counters import Counters
from localechod.echo.datagram.proof_budget import ProofBudget
from localechod.echo.endpoint import Endpoint
from localechod.echo.endpoint_log import EndpointLog
from localechod.echo.events import EventBus
from localechod.echo.lifecycle import State
from localechod.echo.monitor import Monitor
from localechod.echo.passed import PassedDescriptors
from localechod.echo.persist.crash_keep import CrashKeeper, SocketStore
from localechod.echo.persist.snapshot import EndpointSnapshot
from localechod.echo.reactor import Reactor
from localechod.echo.reload import Reload
from localechod.echo.status import EndpointStatus, PeerRow
from localechod.echo.stream.buffers import BufferBudget
from localechod.errors import SocketError, UsageError
from localechod.localsocket.bound import Bound
from localechod.localsocket.closing import hang_up
from localechod.localsocket.watch import NullWatcher, Watcher, Watches

log = logging.getLogger("localechod.echo")

# EMFILE of inotify_init(2) is about instances too; at the start, descriptors have been counted.
_INSTANCES = (
    "; raise the limit, which is for all programs of this user: sysctl "
    "fs.inotify.max_user_instances"
)


class UnknownEndpointError(UsageError):
    """There is no endpoint of that name."""


class Supervisor:
    """All endpoints of one service.

    Args:
        owner: owns a socket file whose endpoint names no owner.
        store: keeps sockets for the next process.
        dropped: whether the process has dropped root, so that it cannot bind as root again.
    """

    def __init__(
        self, config: Config, reactor: Reactor, owner: Owner, store: SocketStore, *, dropped: bool
    ) -> None:
        self.events = EventBus()
        self.peer_log = reactor.peer_log
        self._reactor = reactor
        self._owner = owner
        self._store = store
        self._crash_keeper = CrashKeeper(reactor.loop, store, config.service.crash_keep)
        self._crash_keeper.reserve(len(config.endpoints))
        self._buffers = BufferBudget()
        self._proof_budget = ProofBudget()
        self._passed = PassedDescriptors()
        self._endpoints: dict[str, Endpoint] = {}
        self._permission = BindPermission(self._endpoints, dropped=dropped)
        self._monitor = Monitor(reactor, _watches(), self._permission.allows)
        self._reload = Reload(
            self._endpoints, self._permission, self._monitor, owner, self._endpoint
        )
        for name, endpoint in config.endpoints.items():
            self._endpoints[name] = self._endpoint(endpoint)

    def begin(self, opened: Mapping[str, Opened]) -> None:
        """Start every enabled endpoint; one that cannot be started is `failed`, and stops no other.

        Args:
            opened: what `open_privileged` returned, and the sockets that were open before.
        """
        for name, endpoint in self._endpoints.items():
            found = opened.get(name)
            if isinstance(found, Bound) and found.activated:
                endpoint.activate(found)  # it is open in any case, also where `enabled` is false
                found = None
            if endpoint.config.enabled:
                endpoint.start(found)
                self._monitor.endpoint_changed(endpoint)

    def freeze(self) -> tuple[tuple[EndpointSnapshot, ...], list[socket.socket]]:
        """Describe all endpoints for the next process; nothing is served after this.

        Nothing is served while the loop ends, either: no process would answer a byte that was read
        then.

        Returns:
            The endpoints, and the sockets of their connections in the same order.
        """
        self._monitor.close()
        self._crash_keeper.pause()
        self._reactor.pause()
        frozen = [endpoint.freeze() for endpoint in self._endpoints.values()]
        return tuple(state for state, _ in frozen), [sock for _, own in frozen for sock in own]

    def unfreeze(self) -> None:
        """Answer open connections again after `freeze`; only `drain` may follow.

        No other process continues with the result of `freeze`.
        """
        self._reactor.resume()
        self._crash_keeper.unpause()

    def thaw(self, states: Sequence[EndpointSnapshot], sockets: Sequence[socket.socket]) -> None:
        """Continue with what another process's `freeze` returned; call it after `begin`."""
        rest = iter(sockets)
        for state in states:
            own = list(islice(rest, len(state.connections)))
            endpoint = self._endpoints.get(state.config.name)
            if endpoint is not None:
                endpoint.thaw(state, own)
            else:
                for sock in own:
                    hang_up(sock)
        self._crash_keeper.all_resumed()

    def status(self, names: Collection[str] = ()) -> list[EndpointStatus]:
        """Describe these endpoints, or all.

        Raises:
            UnknownEndpointError: one of the names is not configured.
        """
        return list(self.each_status(names))

    def each_status(self, names: Collection[str] = ()) -> Iterator[EndpointStatus]:
        """Describe these endpoints, or all, each as the iterator comes to it.

        Raises:
            UnknownEndpointError: one of the names is not configured.
        """
        chosen = [self._named(name) for name in names or self._endpoints]
        return (endpoint.status() for endpoint in chosen)

    def states(self) -> dict[str, str]:
        """Return the state of each endpoint by name."""
        return {name: str(endpoint.state) for name, endpoint in self._endpoints.items()}

    def peers(self, name: str | None = None, uid: int | None = None) -> Iterator[PeerRow]:
        """Describe the clients that are connected now, each as the iterator comes to it.

        Args:
            name: an endpoint; None: all.
            uid: the user whose clients they are; None: all.

        Raises:
            UnknownEndpointError: the name is not configured.
        """
        chosen = list(self._endpoints.values()) if name is None else [self._named(name)]
        return (row for endpoint in chosen for row in endpoint.peers(uid))

    def start(self, name: str) -> None:
        """Bind an endpoint again; as by systemctl, one that serves already is left alone.

        Raises:
            UnknownEndpointError: the name is not configured.
            NeedsRestartError: it has to be bound by root.
            LocalechodError: it could not be bound; it is `failed` now.
        """
        endpoint = self._named(name)
        if endpoint.state.serves:
            return
        self._permission.require([endpoint.config])
        self._start(endpoint)

    def stop(self, name: str) -> None:
        """Close an endpoint's socket and connections; one that is stopped already is left alone.

        Raises:
            UnknownEndpointError: the name is not configured.
        """
        endpoint = self._named(name)
        if endpoint.state is not State.STOPPED:
            endpoint.stop()
            self._monitor.endpoint_changed(endpoint)

    def restart(self, name: str) -> None:
        """Stop and start an endpoint; it is not stopped if only root can bind it again.

        Raises:
            As `start` does.
        """
        endpoint = self._named(name)
        self._permission.require([endpoint.config])
        self.stop(name)
        self._start(endpoint)

    def apply(self, changes: Changes, config: Config) -> None:
        """Turn the endpoints into those of another configuration; see Reload.

        Only endpoints that differ are changed; endpoints that have failed are tried again.

        Args:
            changes: how the new configuration differs from the one in force.
            config: the new configuration.

        Raises:
            NeedsRestartError: part of it needs root or another socket unit; nothing was changed.
            ConfigError: it takes more descriptors than there are; nothing was changed.
            LocalechodError: an endpoint could not be bound at its new path; nothing was changed.
        """
        prepared = self._reload.prepare(changes, config, self._connections())
        self._crash_keeper.reserve(len(config.endpoints))  # before a new endpoint stores its socket
        self._reload.apply(prepared)

    async def drain(self, seconds: float) -> None:
        """Accept no new client, answer what was received, and close everything by the deadline.

        Clients read end of file, not a reset, also those that were not served in time.
        """
        self._monitor.close()
        self._crash_keeper.pause()
        for endpoint in self._endpoints.values():
            endpoint.shut()
        waiting = [asyncio.ensure_future(endpoint.drain()) for endpoint in self._endpoints.values()]
        _done, late = await asyncio.wait(waiting, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for name, endpoint in self._endpoints.items():
            self.stop(name)
            endpoint.close()

    def _die(self, name: str) -> None:
        """Have an endpoint die; it may have been removed meanwhile."""
        endpoint = self._endpoints.get(name)
        if endpoint is not None:
            endpoint.die()
            self._monitor.endpoint_changed(endpoint)

    def _connections(self) -> int:
        return sum(endpoint.connections for endpoint in self._endpoints.values())

    def _start(self, endpoint: Endpoint) -> None:
        endpoint.counters.restarts += 1
        endpoint.start()
        error = endpoint.error
        self._monitor.endpoint_changed(endpoint)
        if error is not None and not endpoint.state.serves:
            raise error

    def _named(self, name: str) -> Endpoint:
        try:
            return self._endpoints[name]
        except KeyError:
            known = ", ".join(self._endpoints)
            raise UnknownEndpointError(
                f'there is no endpoint "{name}"', f"there are: {known}"
            ) from None

    def _endpoint(self, config: EndpointConfig) -> Endpoint:
        try:
            child = self._reactor.child()
        except OSError as error:
            raise SocketError("epoll_create", error.errno or errno.EIO) from error
        context = Context(
            reactor=child,
            counters=Counters(),
            endpoint_log=EndpointLog(config.name, self.events, self.peer_log),
            store=self._store,
            crash_keeper=self._crash_keeper,
            buffers=self._buffers,
            proof_budget=self._proof_budget,
            passed=self._passed,
            die=lambda: self._reactor.loop.call_soon(self._die, config.name),
        )
        return Endpoint(config, context, self._owner)


def _watches() -> Watches:
    try:
        return Watcher()
    except OSError as error:
        log.warning(
            "inotify_init failed: %s (%d): socket files that are removed or changed will not be "
            "noticed%s",
            error.strerror,
            error.errno or 0,
            _INSTANCES if error.errno == errno.EMFILE else "",
        )
        return NullWatcher()
