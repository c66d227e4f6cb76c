"""How long the daemon takes to become ready, and how much memory it uses then.

    ./dev bench ready --json ready.json
    ./dev bench ready --from ready.json --write docs
    ./dev bench ready --against ../other    # in turns with another checkout

It measures from the fork to READY=1, with the shipped configuration and a
minimal service manager, in turns with `python -c 'import asyncio'`,
which is the least that such a daemon needs. Trust the ratios.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import command, page
from benchmarks.manager import RunningDaemon, cache_bytecode, running_daemon
from benchmarks.measure import cores
from benchmarks.results import Machine
from benchmarks.servers import ROOT, raise_descriptor_limit, socket_directory
from localechod.bench.quartiles import Quartiles

BARE = "python -c 'import asyncio'"
OURS = "localechod"
OTHER = "localechod of --against"
MEMORY = ("Rss", "Pss", "Anonymous")
_CONNECTIONS = 1000  # the endpoint accepts 1,024


@dataclass(frozen=True, slots=True)
class Program:
    """The figures of a program, one for each start.

    Attributes:
        wall_clock: seconds of wall-clock time.
        processor: seconds of processor time.
        memory: KiB when ready, by the names in proc_pid_smaps(5).
        connection: KiB for each idle connection, likewise.
    """

    wall_clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=lambda: {each: [] for each in MEMORY})
    connection: dict[str, list[float]] = field(
        default_factory=lambda: {each: [] for each in MEMORY}
    )


@dataclass(frozen=True, slots=True)
class Starts:
    """The programs by name, and the machine."""

    machine: Machine
    runs: int
    programs: dict[str, Program]


def measured(runs: int, against: Path | None) -> Starts:
    """Start all programs in turns, so many times."""
    machine = Machine.here()
    raise_descriptor_limit()
    checkouts = {OURS: ROOT} | ({OTHER: against} if against else {})
    programs = {name: Program() for name in (BARE, *checkouts)}
    with socket_directory() as directory:
        cache_bytecode(directory / "bytecode")
        for run in range(runs + 1):
            # Discard the first run, which compiles bytecode and fills the page cache.
            into = programs if run else {name: Program() for name in programs}
            _start_bare(into[BARE])
            for each, checkout in checkouts.items():
                core = cores()[0]
                with running_daemon(directory, f"{run}", core=core, checkout=checkout) as daemon:
                    _record(daemon, into[each])
    return Starts(machine, runs, programs)


def _start_bare(into: Program) -> None:
    command = [sys.executable, "-c", "import asyncio"]
    started = time.perf_counter()
    process = subprocess.Popen(command)
    _, _, usage = os.wait4(process.pid, 0)
    into.wall_clock.append(time.perf_counter() - started)
    into.processor.append(usage.ru_utime + usage.ru_stime)
    process.returncode = 0


def _record(daemon: RunningDaemon, into: Program) -> None:
    server = daemon.server
    into.wall_clock.append(daemon.seconds)
    into.processor.append(server.cpu_seconds())
    for kind in MEMORY:
        into.memory[kind].append(server.memory_kib(kind))
    with ExitStack() as stack:
        for _ in range(_CONNECTIONS):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(server.path)
        client.send(b"the last one\n")  # its reply shows that all have been accepted
        client.recv(64)
        for kind in MEMORY:
            more = server.memory_kib(kind) - into.memory[kind][-1]
            into.connection[kind].append(more / _CONNECTIONS)


def times(starts: Starts) -> str:
    """Return the times as a Markdown table."""
    bare = starts.programs[BARE]
    rows = [
        [
            f"`{name}`",
            Quartiles.of(each.wall_clock).text(0, scale=1e3),
            Quartiles.of(each.processor).text(0, scale=1e3),
            "" if each is bare else Quartiles.of_ratios(each.processor, bare.processor).text(),
        ]
        for name, each in starts.programs.items()
    ]
    head = ["", "wall-clock time, ms", "processor time, ms", "relative to the first"]
    return page.table(head, rows)


def sizes(starts: Starts) -> str:
    """Return the memory as a Markdown table."""
    rows = [
        [
            name,
            kind,
            f"{Quartiles.of(each.memory[kind]).median / 1024:.1f}",
            f"{Quartiles.of(each.connection[kind]).median:.2f}",
        ]
        for name, each in starts.programs.items()
        if name != BARE
        for kind in MEMORY
    ]
    return page.table(["", "memory", "MiB when ready", "KiB for a connection"], rows)


def as_text(starts: Starts) -> str:
    """Return both tables."""
    return f"{times(starts)}\n\n{sizes(starts)}"


def blocks(starts: Starts) -> dict[str, str]:
    """Return the block of the page."""
    return {"ready": f"{as_text(starts)}\n\n{starts.runs} starts; {starts.machine}."}


def arguments(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Raises:
        SystemExit: the command line is wrong; the reason is on standard error.
    """
    parser = command.parser("./dev bench ready", __doc__)
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="starts of each (20)")
    command.add_against(parser)
    return command.parse(parser, args)


def main() -> None:
    """Run from the command line."""
    options = arguments()
    benchmark = command.Benchmark(Starts, as_text, blocks)
    benchmark.run(options, lambda: measured(options.runs, options.against))


if __name__ == "__main__":
    main()
