"""How an endpoint's socket comes to be: as whom it is bound, whose it is, what refuses it."""

import grp
import os
import pwd
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from localechod.config import Config, EndpointConfig
from localechod.errors import ConfigError, LocalechodError
from localechod.localsocket.bind import Bound, Request, bind

SOCKET_TYPES = {
    "stream": socket.SOCK_STREAM,
    "datagram": socket.SOCK_DGRAM,
    "seqpacket": socket.SOCK_SEQPACKET,
}

# A socket, or what refused it.
Opened: TypeAlias = Bound | LocalechodError

NEVER_ROOT = 'bind_as = "root", and localechod was not started as root'
NEVER_ROOT_HINT = (
    "start it as root (under systemd: without never-root.conf), or let localechod.socket bind it"
)


@dataclass(frozen=True, slots=True)
class Owner:
    """The service's user and group: they own a socket file where its endpoint names no others."""

    uid: int
    gid: int


def open_socket(config: EndpointConfig, owner: Owner) -> Bound:
    """Bind an endpoint's socket, give it its owner and mode, and open it, in this order.

    Raises:
        SocketError: what the kernel refused, and what helps.
        ConfigError: the owner has no account here.
    """
    return bind(request(config, owner))


def request(config: EndpointConfig, owner: Owner) -> Request:
    """Return what is to be bound for an endpoint.

    Raises:
        ConfigError: the owner has no account here.
    """
    return Request(
        address=config.address,
        type=SOCKET_TYPES[config.type],
        mode=config.bits,
        uid=owner.uid if config.user is None else _uid(config.user),
        gid=owner.gid if config.group is None else _gid(config.group),
        backlog=config.backlog,
    )


def open_privileged(config: Config, owner: Owner, kept: Mapping[str, Opened]) -> dict[str, Opened]:
    """Bind what has to be bound as root, before the privileges go; anyone else is refused it.

    Args:
        config: with the endpoints.
        owner: who owns a socket whose endpoint names nobody.
        kept: sockets that are open already.

    Returns:
        By endpoint, for `Supervisor.begin`, the socket or what refused it: one endpoint that cannot
        be bound must not keep the others from starting.
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


def _uid(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise ConfigError(f'chown failed: there is no user "{name}" here') from None


def _gid(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(f'chown failed: there is no group "{name}" here') from None
