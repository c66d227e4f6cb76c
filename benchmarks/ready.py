"""How long the daemon takes to be ready, and how large it is then.

    ./dev bench ready --json ready.json
    ./dev bench ready --from ready.json --write docs
    ./dev bench ready --against ../other    # in turns with another checkout

From the fork to READY=1, on the shipped configuration, with a service manager of our own; in turns
with `python -c 'import asyncio, uvloop'`, which no such daemon can do without. Trust the ratios.
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

from benchmarks import page, results
from benchmarks.manager import Started, keep_bytecode, started
from benchmarks.measure import cores
from benchmarks.results import Machine
from benchmarks.servers import ROOT, raise_limits, workplace
from localechod.bench.quartiles import Quartiles

BARE = "python -c 'import asyncio, uvloop'"
OURS = "localechod"
OTHER = "localechod of --against"
MEMORY = ("Rss", "Pss", "Anonymous")
_CONNECTIONS = 1000  # the endpoint takes 1,024


@dataclass(frozen=True, slots=True)
class Program:
    """What was started again and again.

    Attributes:
        clock: seconds by the clock, of each start.
        processor: seconds of processor time.
        memory: KiB when ready, by the names of proc_pid_smaps(5).
        connection: the same, for each idle connection.
    """

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=lambda: {each: [] for each in MEMORY})
    connection: dict[str, list[float]] = field(
        default_factory=lambda: {each: [] for each in MEMORY}
    )


@dataclass(frozen=True, slots=True)
class Starts:
    """Programs by their names, and where they were started."""

    machine: Machine
    runs: int
    programs: dict[str, Program]


def measured(runs: int, against: Path | None) -> Starts:
    """Start all in turns, so many times."""
    machine = Machine.here()
    raise_limits()
    checkouts = {OURS: ROOT} | ({OTHER: against.resolve()} if against else {})
    programs = {name: Program() for name in (BARE, *checkouts)}
    with workplace() as directory:
        keep_bytecode(directory / "bytecode")
        for run in range(runs + 1):
            # The first one compiles, and warms the page cache.
            into = programs if run else {name: Program() for name in programs}
            _start_bare(into[BARE])
            for each, checkout in checkouts.items():
                core = cores()[0]
                with started(directory, f"{run}", core=core, checkout=checkout) as it:
                    _weigh(it, into[each])
    return Starts(machine, runs, programs)


def _start_bare(into: Program) -> None:
    command = [sys.executable, "-c", "import asyncio, uvloop"]
    begun = time.perf_counter()
    process = subprocess.Popen(command)
    _, _, usage = os.wait4(process.pid, 0)
    into.clock.append(time.perf_counter() - begun)
    into.processor.append(usage.ru_utime + usage.ru_stime)
    process.returncode = 0


def _weigh(it: Started, into: Program) -> None:
    into.clock.append(it.seconds)
    into.processor.append(it.server.processor())
    for kind in MEMORY:
        into.memory[kind].append(it.server.memory(kind))
    with ExitStack() as stack:
        for _ in range(_CONNECTIONS):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(it.server.path)
        client.send(b"the last one\n")  # answered when all have been accepted
        client.recv(64)
        for kind in MEMORY:
            more = it.server.memory(kind) - into.memory[kind][-1]
            into.connection[kind].append(more / _CONNECTIONS)


def table(starts: Starts) -> str:
    """Return the figures as a Markdown table."""
    bare = starts.programs[BARE]
    rows = []
    for name, each in starts.programs.items():
        clock, processor = Quartiles.of(each.clock), Quartiles.of(each.processor)
        beside = Quartiles.of_ratios(each.processor, bare.processor)
        row = [f"`{name}`", _scaled(clock, 1e3), _scaled(processor, 1e3)]
        row.append("" if each is bare else _scaled(beside, 1, 2))
        rows.append(row)
    return page.table(["", "ms by the clock", "ms of the processor", "beside the first"], rows)


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


def _scaled(quartiles: Quartiles, scale: float, digits: int = 0) -> str:
    low, median, high = (
        f"{value * scale:.{digits}f}" for value in (quartiles.low, quartiles.median, quartiles.high)
    )
    return f"{median} ({low} - {high})"


def written(starts: Starts) -> dict[str, str]:
    """Return the block of the page."""
    where = f"{starts.runs} starts; {starts.machine}."
    return {"ready": "\n\n".join([table(starts), sizes(starts), where])}


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line.

    Raises:
        SystemExit: it cannot be followed; said on standard error.
    """
    parser = page.parser("./dev bench ready", __doc__)
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="starts of each (20)")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another one beside it")
    return page.parsed(parser, words)


def main() -> None:
    """Run from the command line."""
    options = arguments()
    if options.kept:
        starts = results.load(options.kept[-1], Starts)
    else:
        starts = measured(options.runs, options.against)
        if options.json:
            results.save(options.json, starts)
    print(table(starts), sizes(starts), sep="\n\n")
    if options.write:
        page.write(options.write, written(starts), {})


if __name__ == "__main__":
    main()
