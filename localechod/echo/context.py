"""What everything that serves an endpoint works with, whatever its type."""

from dataclasses import dataclass

from localechod.echo.announce import Announcer
from localechod.echo.counters import Counters
from localechod.echo.engine import Engine
from localechod.echo.keeping import Keeper, Keeping


@dataclass(frozen=True, slots=True)
class Context:
    """The loop's engine, the endpoint's counters and voice, and who keeps its sockets."""

    engine: Engine
    counters: Counters
    announcer: Announcer
    keeper: Keeper
    keeping: Keeping
