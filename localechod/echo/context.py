"""What everything that serves an endpoint works with, whatever its type."""

from dataclasses import dataclass

from localechod.echo.announce import Announcer
from localechod.echo.counters import Counters
from localechod.echo.engine import Engine


@dataclass(frozen=True, slots=True)
class Context:
    """The loop's engine, the endpoint's counters, and its voice."""

    engine: Engine
    counters: Counters
    announcer: Announcer
