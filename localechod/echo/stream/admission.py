"""Which clients a listener admits: `allow`, and the limit of connections for each user."""

import socket

from localechod.config import EndpointConfig
from localechod.echo.counters import Counters
from localechod.echo.endpoint_log import EndpointLog
from localechod.echo.limits import AllowList, UserLimit
from localechod.echo.reasons import Reason
from localechod.localsocket.peer import Credentials, credentials


class Admission:
    """Admits or refuses clients; a refusal is counted and logged.

    Attributes:
        entered, left: call these for every connection that begins and ends, with its uid.
    """

    def __init__(
        self, config: EndpointConfig, counters: Counters, endpoint_log: EndpointLog
    ) -> None:
        self._counters = counters
        self._endpoint_log = endpoint_log
        self._users = UserLimit(config.max_connections_per_user)
        self.entered = self._users.enter
        self.left = self._users.leave
        self.configure(config)

    def configure(self, config: EndpointConfig) -> None:
        """Apply other settings to clients that connect from now on."""
        self._allow = AllowList(config.allow)
        self._users.limit = config.max_connections_per_user

    def admits(self, fd: int, pid: int, uid: int, gid: int) -> bool:
        """Whether this client may connect.

        Raises:
            OSError: the supplementary groups cannot be read.
        """
        if not self._allow.everyone and not self._allow.admits(peer := _peer(fd)):
            return self._refuse(peer, Reason.NOT_ALLOWED, "not in allow")
        if not self._users.admits(uid):
            peer = Credentials(pid, uid, gid, frozenset((gid,)))
            why = f"has {self._users.limit} connections already"
            return self._refuse(peer, Reason.USER_LIMIT, why)
        return True

    def _refuse(self, peer: Credentials, reason: Reason, why: str) -> bool:
        self._counters.errors[reason] += 1
        self._endpoint_log.refused(peer, why)
        return False


def _peer(fd: int) -> Credentials:
    """Return the credentials with supplementary groups, which take a second system call."""
    sock = socket.socket(fileno=fd)
    try:
        return credentials(sock)
    finally:
        sock.detach()
