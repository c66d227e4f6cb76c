"""What `localechoctl explain`, `peers`, `sockets` and `top` cost, beside ss(8) and lsof(8).

    ./dev bench explain --json explain.json
    ./dev bench explain --from explain.json --write docs

Processes are connected by socket pairs, and one server has clients. As root, all
programs look at all processes. They run in turns; the ratios are those of each round.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import command, page, peak
from benchmarks.peak import Cost
from benchmarks.results import Machine
from benchmarks.servers import raise_descriptor_limit, socket_directory
from localechod.bench.quartiles import Quartiles

BASELINE = "ss -xp"
_PAIRS, _CLIENTS = 5, 100
_INTERVAL = 0.2  # seconds between the two samples of top, in which it sleeps


@dataclass(frozen=True, slots=True)
class Lookups:
    """The costs of each program, one for each round.

    Attributes:
        processes: how many there were beside those of the machine.
        sockets: how many these held.
    """

    machine: Machine
    processes: int
    sockets: int
    programs: dict[str, list[Cost]]


def measured(rounds: int, processes: int) -> Lookups:
    """Run all programs in turns, so many times."""
    machine = Machine.here()
    raise_descriptor_limit()
    with socket_directory() as directory, crowd(directory / "s", processes):
        commands = programs(directory)
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for each in commands.values():  # the first run reads files and compiles bytecode
            peak.run(each)
        for _ in range(rounds):
            for name, each in commands.items():
                costs[name].append(peak.run(each))
    return Lookups(machine, processes, 2 * (processes * _PAIRS + _CLIENTS), costs)


def programs(directory: Path) -> dict[str, list[str]]:
    """Return the commands that are compared, by what they are called in the table.

    Args:
        directory: has the server's socket, and gets the maps.
    """
    ours = [sys.executable, "-m", "localechod.ctl"]
    path = directory / "s"
    others = [["ss", "-xp"], ["lsof", "-U"]]
    return {
        **{" ".join(each): each for each in others if shutil.which(each[0])},
        "localechoctl explain PATH": [*ours, "explain", str(path)],
        "localechoctl peers PATH": [*ours, "peers", str(path)],
        "localechoctl sockets": [*ours, "sockets"],
        **{
            f"localechoctl sockets --map m.{kind}": [*ours, "sockets", "--map", f"{path}.{kind}"]
            for kind in ("html", "svg", "dot")
        },
        "localechoctl top --once": [*ours, "top", "--once", "--interval", f"{_INTERVAL:g}"],
    }


@contextmanager
def crowd(path: Path, processes: int) -> Iterator[None]:
    """Have a server with clients, and a ring of processes: pairs connect each with the next."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(os.fsencode(path))
        listener.listen(_CLIENTS)
        for _ in range(_CLIENTS):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(os.fsencode(path))
            stack.enter_context(listener.accept()[0])
        first = before = [socket.socketpair() for _ in range(_PAIRS)]
        for left in reversed(range(processes)):
            after = [socket.socketpair() for _ in range(_PAIRS)] if left else first
            held = [pair[1] for pair in before] + [pair[0] for pair in after]
            process = subprocess.Popen(
                ["sleep", "infinity"], pass_fds=[end.fileno() for end in held]
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            for end in held:
                end.close()
            before = after
        yield


def as_text(lookups: Lookups) -> str:
    """Return the table, in Markdown."""
    base = lookups.programs.get(BASELINE)
    rows = [
        [
            f"`{name}`",
            Quartiles.of([cost.wall_clock for cost in costs]).text(0, scale=1e3),
            Quartiles.of([cost.processor for cost in costs]).text(0, scale=1e3),
            "" if base is None or costs is base else _ratio(costs, base),
            f"{max(cost.memory for cost in costs) / 1024:.0f}",
        ]
        for name, costs in lookups.programs.items()
    ]
    head = ["", "wall-clock time, ms", "processor time, ms", "relative to ss", "peak memory, MiB"]
    return page.table(head, rows)


def _ratio(costs: Sequence[Cost], base: Sequence[Cost]) -> str:
    ours, theirs = ([cost.processor for cost in each] for each in (costs, base))
    return Quartiles.of_ratios(ours, theirs).text()


def blocks(lookups: Lookups) -> dict[str, str]:
    """Return the block of the page."""
    rounds = max(map(len, lookups.programs.values()))
    many = f"{lookups.sockets:,} sockets in {lookups.processes:,} processes"
    return {"explain": f"{as_text(lookups)}\n\n{many}; {rounds} rounds; {lookups.machine}."}


def arguments(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Raises:
        SystemExit: the command line is wrong; the reason is on standard error.
    """
    parser = command.parser("./dev bench explain", __doc__)
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="runs of each (20)")
    parser.add_argument(
        "--processes", type=int, default=500, metavar="N", help="that hold ten sockets each (500)"
    )
    return command.parse(parser, args)


def main() -> None:
    """Run from the command line."""
    options = arguments()
    benchmark = command.Benchmark(Lookups, as_text, blocks)
    benchmark.run(options, lambda: measured(options.rounds, options.processes))


if __name__ == "__main__":
    main()
