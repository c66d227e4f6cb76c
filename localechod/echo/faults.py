"""The faults of one endpoint while it serves: its settings, its numbers, and what it has done."""

from collections.abc import Callable

from localechod.config import EndpointConfig
from localechod.echo.counters import Counters
from localechod.echo.endpoint_log import EndpointLog


class EndpointFaults:
    """Numbers the connections and messages of an endpoint, and counts each fault that is done.

    Args:
        die: stops the endpoint, whose socket file stays; called from a handler.

    Attributes:
        settings: the faults; as a truth value: whether there are any.
        dead: the last message has been read.
    """

    def __init__(
        self,
        config: EndpointConfig,
        counters: Counters,
        endpoint_log: EndpointLog,
        die: Callable[[], object],
    ) -> None:
        self.settings = config.faults
        self.dead = self._died = False
        self._counters = counters
        self._endpoint_log = endpoint_log
        self._die = die
        self._connections = 0
        self._messages = 0

    def configure(self, config: EndpointConfig) -> None:
        """Continue with other settings; with other faults, the numbers begin again.

        An endpoint that was about to die goes on.
        """
        if config.faults != self.settings:
            self.settings = config.faults
            self._connections = self._messages = 0
            self.dead = self._died

    def next_connection(self) -> int:
        """Return the number of a new connection."""
        self._connections += 1
        return self._connections

    def resume(self, connection: int) -> None:
        """Note that an earlier process has given this number to a connection."""
        self._connections = max(self._connections, connection)

    def take_message(self) -> bool:
        """Count a message; return whether it is the last before the endpoint dies."""
        self._messages += 1
        if self._messages != self.settings.die_after:
            return False
        self.dead = True
        return True

    def die(self) -> None:
        """Have the endpoint die: the last message is answered, or its client has left."""
        if self.dead and not self._died:
            self._died = True
            self._counters.faults["die_after"] += 1
            self._die()

    def done(self, fault: str, connection: int, message: int, pid: int, uid: int) -> None:
        """Count one fault, and report it."""
        self._counters.faults[fault] += 1
        self._endpoint_log.fault(fault, connection, message, pid, uid)
