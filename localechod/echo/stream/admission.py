"""Which clients a listener admits: `allow`, and the limit of connections for each user."""

from localechod.config import EndpointConfig
from localechod.echo.counters import Counters
from localechod.echo.endpoint_log import EndpointLog
from localechod.echo.limits import AllowList, UserLimit
from localechod.localsocket.peer import Credentials


class Admission:
    """Admits or refuses clients; a refusal is counted and logged.

    Attributes:
        asks_groups: whether supplementary groups have to be read from the socket.
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
        self.asks_groups = not self._allow.everyone

    def admits(self, peer: Credentials) -> bool:
        """Whether this client may connect."""
        if not self._allow.admits(peer):
            return self._refuse(peer, "not_allowed", "not in allow")
        if not self._users.admits(peer.uid):
            return self._refuse(peer, "user_limit", f"has {self._users.limit} connections already")
        return True

    def _refuse(self, peer: Credentials, reason: str, why: str) -> bool:
        self._counters.errors[reason] += 1
        self._endpoint_log.refused(peer, why)
        return False
