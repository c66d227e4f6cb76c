"""The daemon at rest: its processor time, and how often it wakes up.

    ./dev bench idle --json idle.json
    ./dev bench idle --from idle.json --write docs

It runs the shipped configuration four times at once: without a watchdog and
with one of 30 seconds, as in the unit; without connections and with 1,000 idle
ones.
"""

import argparse
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks import command, page
from benchmarks.manager import cache_bytecode, read_notifications, running_daemon
from benchmarks.measure import cores
from benchmarks.results import Machine
from benchmarks.servers import raise_descriptor_limit, socket_directory

_WATCHDOG = 30.0
_CONNECTIONS = 1000
# Seconds without a notification after which the daemons have settled: they put connections into the
# manager's descriptor store a few at a time.
_SETTLED = 2.0


@dataclass(frozen=True, slots=True)
class IdleDaemon:
    """One daemon at rest.

    Attributes:
        watchdog: whether it had to notify a watchdog.
        connections: the number of its connections.
        processor_ms: its processor time, user and system together.
        wakeups: how often it was woken up.
    """

    watchdog: bool
    connections: int
    processor_ms: float
    wakeups: int


@dataclass(frozen=True, slots=True)
class Idle:
    """All daemons, over the same seconds."""

    machine: Machine
    seconds: float
    daemons: list[IdleDaemon]

    def __str__(self) -> str:
        return f"{self.seconds:g} seconds; {self.machine}"


def measured(seconds: float) -> Idle:
    """Start the daemons, let them settle, and measure them."""
    machine = Machine.here()
    raise_descriptor_limit()
    cases = [(watchdog, count) for watchdog in (False, True) for count in (0, _CONNECTIONS)]
    with ExitStack() as stack:
        directory = stack.enter_context(socket_directory())
        cache_bytecode(directory / "bytecode")
        daemons = []
        for number, (watchdog, count) in enumerate(cases):
            interval = _WATCHDOG if watchdog else None
            daemon = running_daemon(directory, f"{number}", core=cores()[0], watchdog=interval)
            daemons.append(stack.enter_context(daemon))
            for _ in range(count):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(daemons[-1].server.path)
        while read_notifications(daemons, _SETTLED):
            pass
        before = [(each.server.cpu_seconds(), each.server.wakeups()) for each in daemons]
        read_notifications(daemons, seconds)
        after = [(each.server.cpu_seconds(), each.server.wakeups()) for each in daemons]
    idle_daemons = [
        IdleDaemon(watchdog, count, (end[0] - start[0]) * 1e3, end[1] - start[1])
        for (watchdog, count), start, end in zip(cases, before, after, strict=True)
    ]
    return Idle(machine, seconds, idle_daemons)


def as_markdown(idle: Idle) -> str:
    """Return a Markdown table, and how it was measured."""
    rows = [
        [
            "30 s" if daemon.watchdog else "none",
            f"{daemon.connections:,}",
            f"{daemon.processor_ms:.2f}",
            f"{daemon.wakeups}",
        ]
        for daemon in idle.daemons
    ]
    table = page.table(["watchdog", "connections", "processor time, ms", "wakeups"], rows)
    return f"{table}\n\n{idle}."


def arguments(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Raises:
        SystemExit: the command line is wrong; the reason is on standard error.
    """
    parser = command.parser("./dev bench idle", __doc__)
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="duration (60)")
    return command.parse(parser, args)


def main() -> None:
    """Run from the command line."""
    options = arguments()
    benchmark = command.Benchmark(Idle, as_markdown, lambda idle: {"idle": as_markdown(idle)})
    benchmark.run(options, lambda: measured(options.seconds))


if __name__ == "__main__":
    main()
