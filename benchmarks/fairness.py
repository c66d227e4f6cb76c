"""How much a flood at one endpoint delays a client at another.

    ./dev bench fairness --json fairness.json
    ./dev bench fairness --from fairness.json --write docs
    ./dev bench fairness --against ../other    # in the same rounds as another checkout

A client at a quiet endpoint sends 64 bytes and waits for the reply. Its latency
is measured alone, and while 300 clients do the same at another endpoint of the
same daemon. Trust the ratios.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import command, page
from benchmarks.measure import cores
from benchmarks.results import Machine
from benchmarks.scenarios import BEFORE, OURS
from benchmarks.servers import (
    BUILD,
    ROOT,
    Server,
    Settings,
    build,
    raise_descriptor_limit,
    running,
    socket_directory,
)
from localechod.bench.quartiles import Quartiles

CLIENTS = 300
_SIZE = 64
_RAW = 'framing = "chunk"'


@dataclass(frozen=True, slots=True)
class Latency:
    """The latencies of the client in one round, in microseconds."""

    median: float
    percentile_99: float


@dataclass(frozen=True, slots=True)
class Daemon:
    """The figures of one daemon, one for each round.

    Attributes:
        alone: without the flood.
        flooded: beside the flood.
        flood: messages per second of the flood.
    """

    alone: list[Latency] = field(default_factory=list)
    flooded: list[Latency] = field(default_factory=list)
    flood: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fairness:
    """The daemons by name, and how they were measured."""

    machine: Machine
    repeats: int
    seconds: float
    daemons: dict[str, Daemon]

    def __str__(self) -> str:
        return f"{self.repeats} rounds of {self.seconds:g} s; {self.machine}"


def measured(repeats: int, seconds: float, against: Path | None) -> Fairness:
    """Measure the daemons in turns; each round begins with the next daemon."""
    machine = Machine.here()
    raise_descriptor_limit()
    build()
    checkouts = {OURS: ROOT} | ({BEFORE: against} if against else {})
    found = {name: Daemon() for name in checkouts}
    with ExitStack() as stack:
        directory = stack.enter_context(socket_directory())
        servers = [
            stack.enter_context(
                running(name, "stream", directory, cores()[0], _settings(directory, name, checkout))
            )
            for name, checkout in checkouts.items()
        ]
        for turn in range(repeats):
            first = turn % len(servers)
            for server in [*servers[first:], *servers[:first]]:
                _measure(server, _flood_path(directory, server.name), seconds, found[server.name])
    return Fairness(machine, repeats, seconds, found)


def _flood_path(directory: Path, name: str) -> Path:
    return directory / f"{name.replace(' ', '-')}-flood.sock"


def _settings(directory: Path, name: str, checkout: Path) -> Settings:
    flood = (
        f'[endpoints.flood]\ntype = "stream"\nmode = "0666"\nprefix = ""\n{_RAW}\n'
        f'path = "{_flood_path(directory, name)}"\n'
    )
    return Settings(endpoint=_RAW, others=flood, checkout=checkout)


def _measure(server: Server, flood_path: Path, seconds: float, into: Daemon) -> None:
    policy, flood_policy = _policies()
    into.alone.append(_latency(server, policy, seconds))
    # Longer than the client, also where the client starts slowly.
    arguments = ("stream", flood_path, CLIENTS, _SIZE, 1, 2 * seconds + 1)
    with subprocess.Popen(
        [str(BUILD / "load"), *map(str, arguments)],
        preexec_fn=lambda: _place(flood_policy),  # noqa: PLW1509 - no threads here
        stdout=subprocess.PIPE,
        text=True,
    ) as load:
        lines = iter(load.stdout or ())
        next(lines, "")  # printed after connecting and the warm-up
        into.flooded.append(_latency(server, policy, seconds))
        ended = load.poll() is not None
        count, duration, *_ = map(float, next(lines, "0 1").split())
    if ended:
        sys.exit(f"the flood of {server.name} ended before the client did")
    into.flood.append(count / duration)


def _policies() -> tuple[int, int]:
    """Return the scheduling policies of the client and of the flood, sched(7).

    Both use the same core, and the client's latency must not include a wait for that core. Hence
    the client has a real-time policy. That needs a privilege; without it, the flood has the policy
    SCHED_IDLE, and is weaker if other programs use the core.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return os.SCHED_OTHER, os.SCHED_IDLE
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return os.SCHED_FIFO, os.SCHED_OTHER


def _place(policy: int) -> None:
    """Move this process to the core of the load, with a scheduling policy."""
    os.sched_setaffinity(0, cores()[1])
    os.sched_setscheduler(0, policy, os.sched_param(int(policy == os.SCHED_FIFO)))


def _latency(server: Server, policy: int, seconds: float) -> Latency:
    done = subprocess.run(
        [str(BUILD / "latency"), server.path, str(seconds)],
        check=False,
        preexec_fn=lambda: _place(policy),
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(f"latency failed with {server.name}; its error is above")
    return Latency(*map(float, done.stdout.split()))


_FIGURES: dict[str, Callable[[Latency], float]] = {
    "median": lambda latency: latency.median,
    "99th percentile": lambda latency: latency.percentile_99,
}


def as_markdown(fairness: Fairness) -> str:
    """Return a Markdown table, and how it was measured."""
    rows = []
    for name, daemon in fairness.daemons.items():
        for figure, of in _FIGURES.items():
            alone, flooded = (
                [of(each) for each in side] for side in (daemon.alone, daemon.flooded)
            )
            times = (Quartiles.of(alone).text(1), Quartiles.of(flooded).text(1))
            rows.append([name, figure, *times, Quartiles.of_ratios(flooded, alone).text()])
    table = page.table(["", "latency", "alone, µs", "beside the flood, µs", "ratio"], rows)
    rates = ", ".join(
        f"{name} {Quartiles.of(daemon.flood).median:,.0f}"
        for name, daemon in fairness.daemons.items()
    )
    return f"{table}\n\nMessages per second of the flood: {rates}.\n\n{fairness}."


def arguments(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Raises:
        SystemExit: the command line is wrong; the reason is on standard error.
    """
    parser = command.parser("./dev bench fairness", __doc__)
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="rounds (7)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, metavar="S", help="of each half of a round (1)"
    )
    command.add_against(parser, "--checkout")
    return command.parse(parser, args)


def main() -> None:
    """Run from the command line."""
    options = arguments()
    benchmark = command.Benchmark(Fairness, as_markdown, lambda it: {"fairness": as_markdown(it)})
    benchmark.run(options, lambda: measured(options.repeats, options.seconds, options.against))


if __name__ == "__main__":
    main()
