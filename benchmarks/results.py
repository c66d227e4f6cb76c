"""The results of a run of scenarios, kept as JSON so that they can be drawn later."""

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from benchmarks.measure import Sample
from localechod.bench.quartiles import Quartiles

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine of a measurement.

    Attributes:
        processor: the model name of its processor.
        processors: the number of usable processors.
        load: the load average of the preceding minute, which shows how quiet the machine was.
    """

    processor: str
    processors: int
    kernel: str
    python: str
    load: float

    @classmethod
    def here(cls) -> Self:
        """Return the description of this machine."""
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        names = [row.partition(":")[2].strip() for row in cpuinfo if "model name" in row]
        return cls(
            processor=names[0] if names else platform.machine(),
            processors=len(os.sched_getaffinity(0)),
            kernel=".".join(platform.release().split(".")[:2]),
            python=f"CPython {platform.python_version()}",
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
    """The samples of one scenario: of each server equally many, in the order of the rounds."""

    scenario: str
    baseline: str
    servers: dict[str, list[Sample]]

    def ratio(self, name: str, base: str = "") -> Quartiles:
        """Return the ratios, by round, of a server's rate to that of `base` or the baseline."""
        rates, others = (
            [sample.rate for sample in self.servers[each]] for each in (name, base or self.baseline)
        )
        return Quartiles.of_ratios(rates, others)

    def rate(self, name: str) -> Quartiles:
        """Return messages, or visits, per second."""
        return Quartiles.of([sample.rate for sample in self.servers[name]])

    def cost(self, name: str) -> Quartiles | None:
        """Return microseconds of processor time for each; None where they are unknown."""
        costs = [sample.cost for sample in self.servers[name] if sample.cost is not None]
        return Quartiles.of(costs) if costs else None


@dataclass(frozen=True, slots=True)
class Run:
    """The results of one command."""

    machine: Machine
    repeats: int
    seconds: float
    outcomes: list[Outcome]

    def __str__(self) -> str:
        return f"{self.repeats} rounds of {self.seconds:g} s; {self.machine}"


def save(file: Path, found: object) -> None:
    """Write results as JSON."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def load(file: Path, kind: type[T]) -> T:
    """Read results that `save` has written.

    Raises:
        SystemExit: the file cannot be read, or holds something else; the reason is one line.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError as error:
        sys.exit(f"open failed: {error.strerror} ({error.errno}): {file}")
    except msgspec.DecodeError as error:
        sys.exit(f"{file} does not hold results of this benchmark: {error}")


def combined(runs: Sequence[Run]) -> Run:
    """Return several runs as one; of a scenario in more than one of them, the last prevails."""
    outcomes = {outcome.scenario: outcome for run in runs for outcome in run.outcomes}
    last = runs[-1]
    return Run(last.machine, last.repeats, last.seconds, list(outcomes.values()))
