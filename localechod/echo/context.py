"""What everything that serves an endpoint works with, whatever its type."""

from dataclasses import dataclass

from localechod.echo.counters import Counters
from localechod.echo.endpoint_log import EndpointLog
from localechod.echo.persist.crash_keep import CrashKeeper, SocketStore
from localechod.echo.reactor import Reactor


@dataclass(frozen=True, slots=True)
class Context:
    """The loop's engine, the endpoint's counters and voice, and who keeps its sockets."""

    reactor: Reactor
    counters: Counters
    endpoint_log: EndpointLog
    store: SocketStore
    crash_keeper: CrashKeeper
