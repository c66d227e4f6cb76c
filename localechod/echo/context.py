"""What everything that serves an endpoint works with, whatever its type."""

from dataclasses import dataclass
from typing import Protocol

from localechod.echo.announce import Announcer
from localechod.echo.counters import Counters
from localechod.echo.engine import Engine


class Keeper(Protocol):
    """Somebody who holds duplicates of our listening sockets, should we end without a word."""

    def keep(self, name: str, descriptor: int) -> None:
        """Hold a duplicate under a name."""
        ...

    def drop(self, name: str) -> None:
        """Let go of what is held under a name."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """The loop's engine, the endpoint's counters and voice, and who keeps its socket."""

    engine: Engine
    counters: Counters
    announcer: Announcer
    keeper: Keeper
