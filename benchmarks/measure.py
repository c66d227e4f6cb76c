"""Measuring servers: the load on one core, the server on another, servers in turns."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import BUILD, Server

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """The result of one run of the load.

    Attributes:
        rate: messages, or visits, per second.
        cost: the server's microseconds of processor time for each; None for a server that forks.
    """

    rate: float
    cost: float | None


def cores() -> tuple[set[int], set[int]]:
    """Return the cores for servers and for the load: different ones if there are two."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[-1]}, {usable[0]}


def load(server: Server, core: set[int], program: str, *arguments: object) -> Sample:
    """Run the load once; again if there were no replies, which happens on a very busy machine.

    Args:
        server: the server under load.
        core: for the load.
        program: "load" or "visit"; their sources describe their arguments.
        arguments: for the program.

    Raises:
        SystemExit: a reply was wrong, the server closed a connection, or there were no replies.
    """
    command = [str(BUILD / program), *server.exchange, *map(str, arguments)]
    for _ in range(_ATTEMPTS):
        count, seconds, used = _once(server, core, command)
        if count:
            return Sample(count / seconds, None if server.forks else used / count * 1e6)
    sys.exit(f"{program}: no reply from {server.name}")


def _once(server: Server, core: set[int], command: Sequence[str]) -> tuple[float, float, float]:
    """Return the number of replies, the seconds, and the server's seconds of processor time."""
    with subprocess.Popen(
        command,
        preexec_fn=lambda: os.sched_setaffinity(0, core),  # noqa: PLW1509 - no threads here
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        lines = iter(process.stdout or ())
        next(lines, "")  # printed after connecting and the warm-up
        before = server.cpu_seconds()
        line = next(lines, "")
        used = server.cpu_seconds() - before
    if process.returncode:
        sys.exit(f"{Path(command[0]).name} failed with {server.name}; its error is above")
    count, seconds, *_ = map(float, line.split())
    return count, seconds, used


def alternate(
    servers: Sequence[Server], repeats: int, once: Callable[[Server], Sample]
) -> dict[str, list[Sample]]:
    """Measure servers in turns; each round begins with the next server."""
    samples: dict[str, list[Sample]] = {server.name: [] for server in servers}
    for turn in range(repeats):
        first = turn % len(servers)
        for server in [*servers[first:], *servers[:first]]:
            samples[server.name].append(once(server))
    return samples
