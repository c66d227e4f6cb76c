"""A reload: from the endpoints of one configuration to those of another.

First everything is done that can be refused, so that a refused reload changes nothing. Then only
the endpoints that differ are changed; endpoints that have failed are tried again.
"""

import logging
from collections.abc import Callable
from contextlib import ExitStack

from msgspec import Struct

from localechod.config import Changes, Config, EndpointConfig
from localechod.echo.activated import REMEDY
from localechod.echo.bind_permission import BindPermission, NeedsRestartError
from localechod.echo.binding import Owner, open_socket
from localechod.echo.descriptors import Plan, limit, taken_by
from localechod.echo.endpoint import Endpoint
from localechod.echo.lifecycle import State
from localechod.echo.monitor import Monitor
from localechod.errors import ConfigError
from localechod.localsocket.bound import Bound

log = logging.getLogger("localechod.echo")


class Prepared(Struct, frozen=True):
    """A reload that cannot be refused any more.

    Attributes:
        added: the new endpoints, stopped.
        moved: the sockets of endpoints that move, bound at their new paths.
    """

    changes: Changes
    config: Config
    added: dict[str, Endpoint]
    moved: dict[str, Bound]


class Reload:
    """Applies configurations to a supervisor's endpoints.

    Args:
        endpoints: the service's, by name; endpoints are added to and removed from this dict.
        permission: which of them this process can bind.
        monitor: told of every endpoint that has changed.
        owner: owns a socket file whose endpoint names no owner.
        create: makes an endpoint that is stopped.
    """

    def __init__(
        self,
        endpoints: dict[str, Endpoint],
        permission: BindPermission,
        monitor: Monitor,
        owner: Owner,
        create: Callable[[EndpointConfig], Endpoint],
    ) -> None:
        self._endpoints = endpoints
        self._permission = permission
        self._monitor = monitor
        self._owner = owner
        self._create = create

    def prepare(self, changes: Changes, config: Config, connections: int) -> Prepared:
        """Do everything that can be refused.

        Args:
            changes: how the new configuration differs from that in force.
            config: the new configuration.
            connections: how many clients are connected.

        Raises:
            NeedsRestartError: part of it needs root or another socket unit; nothing was changed.
            ConfigError: it takes more descriptors than there are; nothing was changed.
            LocalechodError: an endpoint could not be bound at its new path; nothing was changed.
        """
        self._refuse_to_move_activated(config)
        self._require_descriptors(changes, config, connections)
        self._permission.require(self._to_bind(changes, config))
        with ExitStack() as undo:
            added = {}
            for name in changes.added:
                added[name] = self._create(config.endpoints[name])
                undo.callback(added[name].close)
            moved = self._open_moved(changes, config)
            undo.pop_all()
        return Prepared(changes, config, added, moved)

    def apply(self, prepared: Prepared) -> None:
        """Turn the endpoints into those of the new configuration."""
        changes, config = prepared.changes, prepared.config
        unchanged = set(self._endpoints).difference(changes.live, changes.rebound, changes.removed)
        for name in changes.removed:
            self._remove(self._endpoints.pop(name))
        for name in changes.live + changes.rebound:
            rebind = name in changes.rebound
            self._change(
                self._endpoints[name], config.endpoints[name], prepared.moved.get(name), rebind
            )
        for name, endpoint in prepared.added.items():
            self._endpoints[name] = endpoint
            if endpoint.config.enabled:
                endpoint.start()
                self._monitor.endpoint_changed(endpoint)
        for name in unchanged:
            self._monitor.retry(self._endpoints[name])

    def _remove(self, endpoint: Endpoint) -> None:
        if endpoint.state is not State.STOPPED:
            endpoint.stop()
            self._monitor.endpoint_changed(endpoint)
        endpoint.close()

    def _change(
        self, endpoint: Endpoint, config: EndpointConfig, opened: Bound | None, rebind: bool
    ) -> None:
        """Apply one endpoint's settings.

        An endpoint that was stopped by hand stays stopped, unless `enabled` has changed.
        """
        was_enabled, was_up = endpoint.config.enabled, endpoint.state is not State.STOPPED
        wanted = config.enabled and (was_up or not was_enabled)
        if rebind and endpoint.activated is not None:
            rebind = False
            log.warning("%s: owner, mode and backlog are set by its socket unit", config.name)
        if was_up and (rebind or not wanted):
            endpoint.stop()
        endpoint.configure(config)
        if wanted and endpoint.state is State.STOPPED:
            endpoint.counters.restarts += was_up
            endpoint.start(opened)
        self._monitor.endpoint_changed(endpoint)

    def _to_bind(self, changes: Changes, config: Config) -> list[EndpointConfig]:
        """Return the settings, old and new, of every endpoint that the reload has to bind."""
        found = [config.endpoints[name] for name in changes.added if config.endpoints[name].enabled]
        for name in changes.live + changes.rebound:
            old, new = self._endpoints[name].config, config.endpoints[name]
            if new.enabled and (not old.enabled or (name in changes.rebound and self._is_up(name))):
                found += [old, new]
        return found

    def _open_moved(self, changes: Changes, config: Config) -> dict[str, Bound]:
        """Bind at their new paths the endpoints that move, before any socket is closed."""
        opened: dict[str, Bound] = {}
        with ExitStack() as undo:
            for name in self._moved(changes, config):
                bound = opened[name] = open_socket(config.endpoints[name], self._owner)
                undo.callback(bound.sock.close)
                undo.callback(bound.remove)
            undo.pop_all()
        return opened

    def _moved(self, changes: Changes, config: Config) -> list[str]:
        """Return the endpoints that serve and get another path."""
        return [
            name
            for name in changes.rebound
            if config.endpoints[name].path != self._endpoints[name].config.path
            and config.endpoints[name].enabled
            and self._is_up(name)
        ]

    def _refuse_to_move_activated(self, config: Config) -> None:
        for name, endpoint in self._endpoints.items():
            new = config.endpoints.get(name)
            here = endpoint.config.type, endpoint.config.path
            if endpoint.activated is not None and (new is None or (new.type, new.path) != here):
                what = "removed" if new is None else "another type or path"
                raise NeedsRestartError(
                    f"{name}: {what}: systemd has bound its socket, and the service cannot move "
                    "it; nothing was changed",
                    f"make the same change by `systemctl edit localechod.socket`, then `{REMEDY}`",
                )

    def _require_descriptors(self, changes: Changes, config: Config, connections: int) -> None:
        """Refuse a reload that takes more descriptors than there are.

        An endpoint that moves has two sockets for a while. A reload that takes no more descriptors
        than the configuration in force is not refused, however many its clients have.
        """
        activated = [name for name, each in self._endpoints.items() if each.activated is not None]
        before = taken_by((each.config for each in self._endpoints.values()), activated)
        moved = taken_by(config.endpoints[name] for name in self._moved(changes, config))
        if taken_by(config.endpoints.values(), activated) + moved > before:
            try:
                Plan(config, limit(), activated, connections + moved).require()
            except ConfigError as error:
                raise ConfigError(f"{error.text}; nothing was changed", error.hint) from None

    def _is_up(self, name: str) -> bool:
        return self._endpoints[name].state is not State.STOPPED
