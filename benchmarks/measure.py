"""How it is measured: the load on one core, the server on another, in alternation, as ratios."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.servers import BUILD, Server
from localechod.bench.spread import Spread


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run of the load has given.

    Attributes:
        rate: messages, or visits, a second.
        cost: the server's microseconds of processor time for each; None where it forks.
    """

    rate: float
    cost: float | None


def cores() -> tuple[set[int], set[int]]:
    """Return the cores for servers and for the load: two that differ, where there are two."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[-1]}, {usable[0]}


def load(server: Server, core: set[int], program: str, *arguments: object) -> Figure:
    """Run the load once.

    Args:
        server: under load.
        core: for the load.
        program: "load" or "visit"; their sources say what they take.
        arguments: for it.

    Raises:
        SystemExit: a reply was wrong, or the server has hung up.
    """
    command = [str(BUILD / program), *map(str, arguments)]
    with subprocess.Popen(
        command,
        preexec_fn=lambda: os.sched_setaffinity(0, core),  # noqa: PLW1509 - no threads here
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        lines = iter(process.stdout or ())
        next(lines, "")  # what comes before is connecting and the warm-up
        before = server.processor()
        told = next(lines, "")
        used = server.processor() - before
    if process.returncode:
        sys.exit(f"{program} has failed against {server.name}; what it said is above")
    count, seconds, *_ = map(float, told.split())
    known = count and not server.forks
    return Figure(count / seconds, used / count * 1e6 if known else None)


def alternate(
    servers: Sequence[Server], repeats: int, once: Callable[[Server], Figure]
) -> dict[str, list[Figure]]:
    """Measure each server so many times, in turns, every round beginning with another one."""
    figures: dict[str, list[Figure]] = {server.name: [] for server in servers}
    for turn in range(repeats):
        first = turn % len(servers)
        for server in [*servers[first:], *servers[:first]]:
            figures[server.name].append(once(server))
    return figures


def ratios(figures: Sequence[Figure], yardstick: Sequence[Figure]) -> Spread:
    """Return the rate as a share of the yardstick's in the same round."""
    return Spread.of_ratios([each.rate for each in figures], [each.rate for each in yardstick])
