"""How many descriptors a configuration takes, and whether the limit leaves any for clients."""

import resource
from collections.abc import Collection, Iterable

from localechod.config import Config, EndpointConfig
from localechod.errors import ConfigError
from localechod.limits import RESERVED_DESCRIPTORS

# Of the service itself: standard streams, log, epoll, wake-up pipe, lock, pid file, two inotify
# instances, control socket with its directory and file, the watchdog's pair of sockets.
_OWN = 16

# Fewer clients for each endpoint than this, on average, are worth a warning.
_FEW = 8

REMEDY = "raise the limit: LimitNOFILE= in the unit, or `ulimit -n` in the shell"


def limit() -> int:
    """Return this process's limit of descriptors, RLIMIT_NOFILE of getrlimit(2)."""
    found = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 30 if found == resource.RLIM_INFINITY else found


def ceiling(of: int) -> int:
    """Return the lowest descriptor under a limit that no client may have."""
    return of - min(RESERVED_DESCRIPTORS, of // 4)


def taken_by(endpoints: Iterable[EndpointConfig], activated: Collection[str] = ()) -> int:
    """Return how many descriptors endpoints have while they serve, without their clients.

    A socket that has a file takes three: its directory and the file are held open. A datagram
    endpoint has one to prove senders with, an activated endpoint a duplicate of its socket.

    Args:
        endpoints: those that are not enabled count too: a call can start them.
        activated: names of endpoints whose socket a socket unit has bound.
    """
    return sum(
        (1 if endpoint.address.is_abstract else 3)
        + (endpoint.type == "datagram")
        + (endpoint.name in activated)
        for endpoint in endpoints
    )


class Plan:
    """The descriptors of a service under a limit.

    Args:
        config: its endpoints count.
        limit: see `limit`.
        activated: see `taken_by`.
        others: descriptors that are taken beside these, such as those of open connections.

    Attributes:
        clients: how many connections can be open at once; 0 or less: none.
    """

    def __init__(
        self, config: Config, limit: int, activated: Collection[str] = (), others: int = 0
    ) -> None:
        endpoints = config.endpoints.values()
        self._limit = limit
        self._taken = taken_by(endpoints, activated)
        self._others = others
        self._count = len(endpoints)
        self.clients = ceiling(limit) - _OWN - self._taken - others
        connected = [each.max_connections for each in endpoints if each.type != "datagram"]
        self._wanted = sum(min(_FEW, most) for most in connected)
        self._needed = _OWN + self._taken + others + min(1, len(connected))

    def require(self) -> None:
        """Return if the service can serve.

        Raises:
            ConfigError: the limit leaves no descriptor for a client, or not even the endpoints'.
        """
        if self._needed > ceiling(self._limit):
            raise ConfigError(f"too few descriptors: {self._figures()}", REMEDY)

    def warning(self) -> str:
        """Return one line if there is space for few clients, else ""."""
        if self.clients >= self._wanted:
            return ""
        count = max(0, self.clients)
        return f"descriptors for {count} clients only: {self._figures()}; {REMEDY}"

    def _figures(self) -> str:
        reserved = self._limit - ceiling(self._limit)
        others = f", {self._others} of connections and moves" if self._others else ""
        return (
            f"the limit is {self._limit}; {self._count} endpoints take {self._taken}, the service "
            f"{_OWN}, {reserved} are reserved{others}"
        )
