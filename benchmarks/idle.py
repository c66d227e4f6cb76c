"""What the daemon does while nobody wants anything of it: processor time, and how often it wakes.

    ./dev bench idle --json idle.json
    ./dev bench idle --from idle.json --write docs

On the shipped configuration, without and with a watchdog of 30 seconds, as the unit has it; with
nobody there, and with 1,000 connections that say nothing. All four at once.
"""

import argparse
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks import page, results
from benchmarks.manager import hear, keep_bytecode, started
from benchmarks.measure import cores
from benchmarks.results import Machine
from benchmarks.servers import raise_limits, workplace

_WATCHDOG = 30.0
_CONNECTIONS = 1000
# Nothing from the daemon for so many seconds means that it has settled: connections are put into
# the manager's store a few at a time.
_SETTLED = 2.0


@dataclass(frozen=True, slots=True)
class Rest:
    """One daemon at rest.

    Attributes:
        watchdog: whether it had to say that it lives.
        connections: how many it had.
        processor_ms: processor time, of user and system together.
        wakes: how often it was woken.
    """

    watchdog: bool
    connections: int
    processor_ms: float
    wakes: int


@dataclass(frozen=True, slots=True)
class Idle:
    """All of them, over the same seconds."""

    machine: Machine
    seconds: float
    rests: list[Rest]

    def __str__(self) -> str:
        return f"{self.seconds:g} seconds; {self.machine}"


def measured(seconds: float) -> Idle:
    """Start them, let them settle, and watch them."""
    machine = Machine.here()
    raise_limits()
    cases = [(watchdog, many) for watchdog in (False, True) for many in (0, _CONNECTIONS)]
    with ExitStack() as stack:
        directory = stack.enter_context(workplace())
        keep_bytecode(directory / "bytecode")
        daemons = []
        for number, (watchdog, many) in enumerate(cases):
            allowed = _WATCHDOG if watchdog else None
            daemon = started(directory, f"{number}", core=cores()[0], watchdog=allowed)
            daemons.append(stack.enter_context(daemon))
            for _ in range(many):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(daemons[-1].server.path)
        while hear(daemons, _SETTLED):
            pass
        before = [(it.server.processor(), it.server.wakes()) for it in daemons]
        hear(daemons, seconds)
        after = [(it.server.processor(), it.server.wakes()) for it in daemons]
    rests = [
        Rest(watchdog, many, (end[0] - start[0]) * 1e3, end[1] - start[1])
        for (watchdog, many), start, end in zip(cases, before, after, strict=True)
    ]
    return Idle(machine, seconds, rests)


def table(idle: Idle) -> str:
    """Return the figures as a Markdown table."""
    rows = [
        [
            "30 s" if rest.watchdog else "none",
            f"{rest.connections:,}",
            f"{rest.processor_ms:.2f}",
            f"{rest.wakes}",
        ]
        for rest in idle.rests
    ]
    return page.table(["watchdog", "connections", "ms of the processor", "times woken"], rows)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line.

    Raises:
        SystemExit: it cannot be followed; said on standard error.
    """
    parser = page.parser("./dev bench idle", __doc__)
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="to watch (60)")
    return page.parsed(parser, words)


def main() -> None:
    """Run from the command line."""
    options = arguments()
    if options.kept:
        idle = results.load(options.kept[-1], Idle)
    else:
        idle = measured(options.seconds)
        if options.json:
            results.save(options.json, idle)
    print(table(idle), f"{idle}.", sep="\n\n")
    if options.write:
        page.write(options.write, {"idle": f"{table(idle)}\n\n{idle}."}, {})


if __name__ == "__main__":
    main()
