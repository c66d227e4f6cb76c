"""How it is measured: the load on one core, the server on another, in alternation, as ratios."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import BUILD, Server
from localechod.bench.quartiles import Quartiles

_ATTEMPTS = 5


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
    """Run the load once; again where nothing came back, as can be on a machine that is very busy.

    Args:
        server: under load.
        core: for the load.
        program: "load" or "visit"; their sources say what they take.
        arguments: for it.

    Raises:
        SystemExit: a reply was wrong, the server has hung up, or nothing comes back at all.
    """
    command = [str(BUILD / program), *map(str, arguments)]
    for _ in range(_ATTEMPTS):
        count, seconds, used = _once(server, core, command)
        if count:
            return Figure(count / seconds, None if server.forks else used / count * 1e6)
    sys.exit(f"{program}: nothing comes back from {server.name}")


def _once(server: Server, core: set[int], command: Sequence[str]) -> tuple[float, float, float]:
    """Return how many there were, in how many seconds, and the server's processor time."""
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
        sys.exit(f"{Path(command[0]).name} has failed against {server.name}; why, it says above")
    count, seconds, *_ = map(float, told.split())
    return count, seconds, used


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


def ratios(figures: Sequence[Figure], yardstick: Sequence[Figure]) -> Quartiles:
    """Return the rate as a share of the yardstick's in the same round."""
    return Quartiles.of_ratios([each.rate for each in figures], [each.rate for each in yardstick])
