"""Keeps the endpoints: starts, stops and changes them, and knows how all of them are."""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice

from localechod.config import Changes, Config, EndpointConfig, compare
from localechod.echo.activated import REMEDY
from localechod.echo.binding import NEVER_ROOT, NEVER_ROOT_HINT, Opened, Owner, open_socket
from localechod.echo.context import Context
from localechod.echo.counters import Counters
from localechod.echo.endpoint import Endpoint
from localechod.echo.endpoint_log import EndpointLog
from localechod.echo.events import EventBus
from localechod.echo.lifecycle import State
from localechod.echo.monitor import Monitor
from localechod.echo.persist.crash_keep import CrashKeeper, SocketStore
from localechod.echo.persist.snapshot import EndpointSnapshot
from localechod.echo.reactor import Reactor
from localechod.echo.status import EndpointStatus, PeerRow
from localechod.echo.stream.connection import hang_up
from localechod.errors import LocalechodError, SocketError, UsageError
from localechod.localsocket.bind import Bound
from localechod.localsocket.watch import Blind, Watcher, Watches

log = logging.getLogger("localechod.echo")


class UnknownEndpointError(UsageError):
    """There is no endpoint of that name."""


class NeedsRestartError(LocalechodError):
    """Only root could bind this, or a socket unit; the service cannot."""


class Supervisor:
    """All endpoints of one service.

    Args:
        dropped: whether privileges were given up, so that `bind_as = "root"` cannot be honoured
            again.
    """

    def __init__(
        self, config: Config, reactor: Reactor, owner: Owner, store: SocketStore, *, dropped: bool
    ) -> None:
        self.events = EventBus()
        self._config = config
        self._reactor = reactor
        self._owner = owner
        self._store = store
        self._crash_keeper = CrashKeeper(reactor.loop, store, config.service.crash_keep)
        self._crash_keeper.make_room(len(config.endpoints))
        self._dropped = dropped
        self._monitor = Monitor(reactor, _watches(), self._may_bind)
        self._endpoints = {
            name: self._endpoint(endpoint) for name, endpoint in config.endpoints.items()
        }

    def begin(self, opened: Mapping[str, Opened]) -> None:
        """Start every enabled endpoint; one that fails is `failed` and harms no other.

        Args:
            opened: what `open_privileged` returned, and what was open before.
        """
        for name, endpoint in self._endpoints.items():
            found = opened.get(name)
            if isinstance(found, Bound) and found.lent:
                endpoint.activate(found)  # it is open in any case, also where `enabled` is false
                found = None
            if endpoint.config.enabled:
                endpoint.start(found)
                self._monitor.endpoint_changed(endpoint)

    def freeze(self) -> tuple[tuple[EndpointSnapshot, ...], list[socket.socket]]:
        """Describe everything for the process that goes on with it; nothing is served after this.

        Not even while the loop winds up: a byte that was read then would be answered by nobody.

        Returns:
            The endpoints, and the sockets of their connections in the same order.
        """
        self._monitor.close()
        self._crash_keeper.pause()
        self._reactor.pause()
        frozen = [endpoint.freeze() for endpoint in self._endpoints.values()]
        return tuple(state for state, _ in frozen), [sock for _, own in frozen for sock in own]

    def unfreeze(self) -> None:
        """Serve after all: nobody goes on with what `freeze` described."""
        self._reactor.resume()
        self._crash_keeper.go_on()

    def thaw(self, states: Sequence[EndpointSnapshot], sockets: Sequence[socket.socket]) -> None:
        """Go on where another process stopped; call it after `begin`."""
        rest = iter(sockets)
        for state in states:
            own = list(islice(rest, len(state.connections)))
            endpoint = self._endpoints.get(state.config.name)
            if endpoint is not None:
                endpoint.thaw(state, own)
            else:
                for sock in own:
                    hang_up(sock)
        self._crash_keeper.settle()

    def status(self, names: Collection[str] = ()) -> list[EndpointStatus]:
        """Describe these endpoints, or all.

        Raises:
            UnknownEndpointError: one of the names is not configured.
        """
        return [self._named(name).status() for name in names or self._endpoints]

    def peers(self, name: str | None = None) -> list[PeerRow]:
        """Describe who is connected to this endpoint, or to any.

        Raises:
            UnknownEndpointError: the name is not configured.
        """
        chosen = self._endpoints.values() if name is None else [self._named(name)]
        return [row for endpoint in chosen for row in endpoint.peers()]

    def start(self, name: str) -> None:
        """Bind an endpoint again; one that serves already is left alone, as systemctl does.

        Raises:
            UnknownEndpointError: the name is not configured.
            NeedsRestartError: it takes root.
            LocalechodError: it could not be bound; it is `failed` now.
        """
        endpoint = self._named(name)
        if endpoint.state.serves:
            return
        self._refuse_privileged([endpoint.config])
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
        """Stop and start an endpoint; nothing is closed if it could not be bound again.

        Raises:
            As `start` does.
        """
        endpoint = self._named(name)
        self._refuse_privileged([endpoint.config])
        self.stop(name)
        self._start(endpoint)

    def apply(self, config: Config) -> Changes:
        """Turn these endpoints into those of another configuration.

        Only what differs is touched, but that whatever has failed is tried again.

        Raises:
            NeedsRestartError: part of it takes root, or another socket unit; nothing has changed.
            LocalechodError: an endpoint that moves could not be bound at its new place; nothing has
                changed.
        """
        changes = compare(self._config, config)
        self._refuse_to_move_activated(config)
        self._refuse_privileged(self._to_bind(changes, config))
        with ExitStack() as undo:
            added = {name: self._endpoint(config.endpoints[name]) for name in changes.added}
            for endpoint in added.values():
                undo.callback(endpoint.close)
            moved = self._open_moved(changes, config)
            undo.pop_all()
        self._config = config
        for name in changes.removed:
            self.stop(name)
            self._endpoints.pop(name).close()
        for name in changes.live + changes.rebound:
            self._change(
                self._endpoints[name],
                config.endpoints[name],
                moved.get(name),
                name in changes.rebound,
            )
        self._crash_keeper.make_room(len(config.endpoints))
        self._endpoints |= added
        for endpoint in added.values():
            if endpoint.config.enabled:
                endpoint.start()
                self._monitor.endpoint_changed(endpoint)
        for name in set(self._endpoints).difference(changes.added, changes.live, changes.rebound):
            self._monitor.retry(self._endpoints[name])
        return changes

    async def drain(self, seconds: float) -> None:
        """Let nobody new in, answer what was received, and close everything by the deadline.

        Clients read end of file, not a reset, also those who ran out of time.
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

    def _start(self, endpoint: Endpoint) -> None:
        endpoint.counters.restarts += 1
        endpoint.start()
        error = endpoint.error
        self._monitor.endpoint_changed(endpoint)
        if error is not None and not endpoint.state.serves:
            raise error

    def _change(
        self, endpoint: Endpoint, config: EndpointConfig, opened: Opened | None, rebind: bool
    ) -> None:
        """Apply one endpoint's settings; a stop by hand survives unless `enabled` has changed."""
        was_enabled, was_up = endpoint.config.enabled, endpoint.state is not State.STOPPED
        wanted = config.enabled and (was_up or not was_enabled)
        if rebind and endpoint.activated is not None:
            rebind = False
            log.warning("%s: owner, mode and backlog are its socket unit's to change", config.name)
        if was_up and (rebind or not wanted):
            endpoint.stop()
        endpoint.configure(config)
        if wanted and endpoint.state is State.STOPPED:
            endpoint.counters.restarts += was_up
            endpoint.start(opened)
        self._monitor.endpoint_changed(endpoint)

    def _to_bind(self, changes: Changes, config: Config) -> list[EndpointConfig]:
        """Return the settings, old and new, of everything that a reload would have to bind."""
        found = [config.endpoints[name] for name in changes.added if config.endpoints[name].enabled]
        for name in changes.live + changes.rebound:
            old, new = self._endpoints[name].config, config.endpoints[name]
            if new.enabled and (not old.enabled or (name in changes.rebound and self._is_up(name))):
                found += [old, new]
        return found

    def _open_moved(self, changes: Changes, config: Config) -> dict[str, Bound]:
        """Bind at their new addresses those that move, before anything that serves is closed."""
        opened: dict[str, Bound] = {}
        try:
            for name in changes.rebound:
                endpoint = config.endpoints[name]
                moves = endpoint.path != self._endpoints[name].config.path
                if moves and endpoint.enabled and self._is_up(name):
                    opened[name] = open_socket(endpoint, self._owner)
        except LocalechodError:
            for bound in opened.values():
                bound.remove()
                bound.sock.close()
            raise
        return opened

    def _refuse_to_move_activated(self, config: Config) -> None:
        for name, endpoint in self._endpoints.items():
            new = config.endpoints.get(name)
            here = endpoint.config.type, endpoint.config.path
            if endpoint.activated is not None and (new is None or (new.type, new.path) != here):
                what = "removed" if new is None else "another type or path"
                raise NeedsRestartError(
                    f"{name}: {what}: its socket is systemd's, and stays where it is; nothing was "
                    "changed",
                    f"`systemctl edit localechod.socket` to the same end, then `{REMEDY}`",
                )

    def _refuse_privileged(self, configs: Collection[EndpointConfig]) -> None:
        names = sorted({config.name for config in configs if not self._may_bind(config)})
        if names and not self._dropped:
            raise NeedsRestartError(f"{', '.join(names)}: {NEVER_ROOT}", NEVER_ROOT_HINT)
        if names:
            raise NeedsRestartError(
                f'bind_as = "root" of {", ".join(names)}: only root can bind it again, and the '
                "service has given up root; nothing was changed",
                "systemctl restart localechod",
            )

    def _may_bind(self, config: EndpointConfig) -> bool:
        endpoint = self._endpoints.get(config.name)
        if config.bind_as != "root" or (endpoint is not None and endpoint.activated is not None):
            return True
        return not self._dropped and os.geteuid() == 0

    def _is_up(self, name: str) -> bool:
        return self._named(name).state is not State.STOPPED

    def _named(self, name: str) -> Endpoint:
        try:
            return self._endpoints[name]
        except KeyError:
            known = ", ".join(self._endpoints)
            raise UnknownEndpointError(
                f'there is no endpoint "{name}"', f"there are: {known}"
            ) from None

    def _endpoint(self, config: EndpointConfig) -> Endpoint:
        endpoint_log = EndpointLog(config.name, self.events)
        try:
            child = self._reactor.child()
        except OSError as error:
            raise SocketError("epoll_create", error.errno or errno.EIO) from error
        context = Context(child, Counters(), endpoint_log, self._store, self._crash_keeper)
        return Endpoint(config, context, self._owner)


def _watches() -> Watches:
    try:
        return Watcher()
    except OSError as error:
        log.warning(
            "sockets that are removed from outside will not be noticed: inotify_init failed: %s",
            error.strerror,
        )
        return Blind()
