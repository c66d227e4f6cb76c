"""How an endpoint's socket is bound: by which user, with which owner and mode."""

import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from localechod.accounts import gid_of, uid_of
from localechod.config import Config, EndpointConfig
from localechod.errors import ConfigError, LocalechodError
from localechod.localsocket.bind import bind
from localechod.localsocket.bound import Bound, Request
from localechod.localsocket.types import TYPES

# A socket, or the error of binding it.
Opened: TypeAlias = Bound | LocalechodError

NEVER_ROOT = 'bind_as = "root", and localechod was not started as root'
NEVER_ROOT_HINT = (
    "start it as root (under systemd: without never-root.conf), or let localechod.socket bind it"
)


class Owner(Struct, frozen=True):
    """The service's user and group: they own each socket file whose endpoint names no others."""

    uid: int
    gid: int


def open_socket(config: EndpointConfig, owner: Owner) -> Bound:
    """Bind an endpoint's socket, give it its owner and mode, and open it, in this order.

    Raises:
        SocketError: a system call failed; with a hint.
        ConfigError: the owner has no account here.
    """
    return bind(request(config, owner))


def request(config: EndpointConfig, owner: Owner) -> Request:
    """Return how an endpoint's socket has to be bound.

    Raises:
        ConfigError: the owner has no account here.
    """
    uid = owner.uid if config.user is None else _known("user", config.user, uid_of)
    return Request(
        address=config.address,
        type=TYPES[config.type],
        mode=config.bits,
        uid=uid,
        gid=owner.gid if config.group is None else _known("group", config.group, gid_of),
        backlog=config.backlog,
        trusted=frozenset({owner.uid, uid}) if config.bind_as == "root" else None,
    )


def open_privileged(config: Config, owner: Owner, kept: Mapping[str, Opened]) -> dict[str, Opened]:
    """Bind the endpoints that only root can bind, before root is dropped.

    Args:
        config: with the endpoints.
        owner: owns a socket file whose endpoint names no owner.
        kept: sockets that are open already, by endpoint.

    Returns:
        By endpoint, for `Supervisor.begin`, the socket or the error: an endpoint that cannot be
        bound must not keep the others from starting.
    """
    attempt = _attempt if os.geteuid() == 0 else _refuse
    return {
        endpoint.name: attempt(endpoint, owner)
        for endpoint in config.endpoints.values()
        if endpoint.enabled and endpoint.bind_as == "root" and endpoint.name not in kept
    }


def _attempt(config: EndpointConfig, owner: Owner) -> Opened:
    try:
        return open_socket(config, owner)
    except LocalechodError as error:
        return error


def _refuse(_config: EndpointConfig, _owner: Owner) -> Opened:
    return LocalechodError(NEVER_ROOT, NEVER_ROOT_HINT)


def _known(kind: str, name: str, find: Callable[[str], int | None]) -> int:
    number = find(name)
    if number is None:
        raise ConfigError(f'chown failed: there is no {kind} "{name}" here')
    return number
