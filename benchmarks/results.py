"""What a run of scenarios has found: kept as JSON, so that it can be drawn on another day."""

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from benchmarks.measure import Figure
from localechod.bench.quartiles import Quartiles

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured.

    Attributes:
        processor: what it calls itself.
        processors: how many of them may be used.
        load: the load average of the minute before, which says how quiet it was.
    """

    processor: str
    processors: int
    kernel: str
    python: str
    load: float

    @classmethod
    def here(cls) -> Self:
        """Return what this machine says of itself."""
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        names = [row.partition(":")[2].strip() for row in told.splitlines() if "model name" in row]
        return cls(
            processor=names[0] if names else platform.machine(),
            processors=len(os.sched_getaffinity(0)),
            kernel=".".join(platform.release().split(".")[:2]),
            python=f"CPython {platform.python_version()}, uvloop {version('uvloop')}",
            load=round(os.getloadavg()[0], 2),
        )

    def __str__(self) -> str:
        count = "one processor" if self.processors == 1 else f"{self.processors} processors"
        return (
            f"{self.processor}, {count}, Linux {self.kernel}, {self.python}, "
            f"load average {self.load:g} before"
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """One scenario's figures, of every server as many, in the order of the rounds."""

    scenario: str
    yardstick: str
    servers: dict[str, list[Figure]]

    def ratio(self, name: str, base: str = "") -> Quartiles:
        """Return a server's rate as a share of another's, or of the yardstick's, round by round."""
        rates, others = (
            [figure.rate for figure in self.servers[each]]
            for each in (name, base or self.yardstick)
        )
        return Quartiles.of_ratios(rates, others)

    def rate(self, name: str) -> Quartiles:
        """Return messages, or visits, a second."""
        return Quartiles.of([figure.rate for figure in self.servers[name]])

    def cost(self, name: str) -> Quartiles | None:
        """Return microseconds of processor time for each; None where that is not known."""
        costs = [figure.cost for figure in self.servers[name] if figure.cost is not None]
        return Quartiles.of(costs) if costs else None


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that was measured at one go."""

    machine: Machine
    repeats: int
    seconds: float
    outcomes: list[Outcome]

    def __str__(self) -> str:
        return f"{self.repeats} rounds of {self.seconds:g} s; {self.machine}"


def save(file: Path, found: object) -> None:
    """Write what was found as JSON."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def load(file: Path, kind: type[T]) -> T:
    """Read what `save` has written.

    Raises:
        SystemExit: it is not to be read, or is something else; said in a line.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError as error:
        sys.exit(f"open failed: {error.strerror} ({error.errno}): {file}")
    except msgspec.DecodeError as error:
        sys.exit(f"{file} is not what such a run writes: {error}")


def joined(runs: Sequence[Run]) -> Run:
    """Return several runs as one: of a scenario in more than one of them, the last word counts."""
    outcomes = {outcome.scenario: outcome for run in runs for outcome in run.outcomes}
    last = runs[-1]
    return Run(last.machine, last.repeats, last.seconds, list(outcomes.values()))
