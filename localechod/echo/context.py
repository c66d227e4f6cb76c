"""What everything that serves an endpoint works with, whatever its type."""

from dataclasses import dataclass

from localechod.echo.counters import Counters
from localechod.echo.endpoint_log import Announcer
from localechod.echo.persist.crash_keep import Keeper, Keeping
from localechod.echo.reactor import Engine


@dataclass(frozen=True, slots=True)
class Context:
    """The loop's engine, the endpoint's counters and voice, and who keeps its sockets."""

    engine: Engine
    counters: Counters
    announcer: Announcer
    keeper: Keeper
    keeping: Keeping
