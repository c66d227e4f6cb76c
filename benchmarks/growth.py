"""How cost grows: with connections, with endpoints, and with endpoints that nobody talks to.

./dev bench growth --repeats 5 --json growth.json
./dev bench growth --from growth.json --write docs
"""

import argparse
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import page, results
from benchmarks.growthreport import Growth, Step, drawn, told, written
from benchmarks.measure import Figure, cores, load
from benchmarks.results import Machine
from benchmarks.servers import Server, Settings, build, raise_limits, running, workplace

CONNECTIONS = (1, 10, 100, 1000, 10_000)
ENDPOINTS = (1, 10, 100, 1000)
SERVERS = ("C epoll", "localechod")
_QUIET_CLIENTS = 32  # of the one endpoint that has any
_BUSY_CLIENTS = ENDPOINTS[-1]  # spread over all endpoints: one for each in the end
_SIZE = 64
_OTHER_DESCRIPTORS = 200  # 128 of them are what localechod keeps for itself
_RAW = 'framing = "chunk"'


def by_connections(
    directory: Path, counts: Sequence[int], repeats: int, seconds: float
) -> list[Step]:
    """Measure with so many connections, each with a message under way; idle, what each weighs."""
    server_core, load_core = cores()
    found = {name: {count: Step(name, count) for count in counts} for name in SERVERS}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(running(name, "stream", directory, server_core, Settings("", _RAW)))
            for name in SERVERS
        ]
        for server in servers:  # before the load, which leaves memory behind
            for count, memory in _crowded(server, counts).items():
                found[server.name][count].memory_kib = memory
        for _ in range(repeats):
            for count in counts:
                for server in servers:
                    figure = load(
                        server, load_core, "load", "stream", server.path, count, _SIZE, 1, seconds
                    )
                    found[server.name][count].figures.append(figure)
    return [step for steps in found.values() for step in steps.values()]


def _crowded(server: Server, counts: Sequence[int]) -> dict[int, float]:
    """Return the server's memory in KiB with so many connections that say nothing."""
    found = {}
    with ExitStack() as stack:
        for number in range(1, counts[-1] + 1):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(server.path)
            if number in counts:
                client.send(b"the last one\n")  # answered when all have been accepted
                client.recv(64)
                found[number] = server.memory()
    return found


def by_endpoints(directory: Path, repeats: int, seconds: float) -> tuple[list[Step], list[Step]]:
    """Measure with so many endpoints: one of them busy, and all of them busy."""
    server_core, load_core = cores()
    quiet = {count: Step("one endpoint busy", count) for count in ENDPOINTS}
    busy = {count: Step("all endpoints busy", count) for count in ENDPOINTS}
    with ExitStack() as stack:
        servers = {}
        for count in ENDPOINTS:
            more = "".join(
                f'[endpoints.e{number}]\ntype = "stream"\nmode = "0666"\nprefix = ""\n{_RAW}\n'
                f'path = "{directory}/{count}-{number}"\n'
                for number in range(1, count)
            )
            name = f"localechod, {count} endpoints"
            settings = Settings(endpoint=_RAW, others=more)
            servers[count] = stack.enter_context(
                running(name, "stream", directory, server_core, settings)
            )
            quiet[count].memory_kib = busy[count].memory_kib = servers[count].memory()
        for _ in range(repeats):
            for count, server in servers.items():

                def once(clients: int, paths: Sequence[str], server: Server = server) -> Figure:
                    words = ("stream", server.path, clients, _SIZE, 1, seconds, *paths)
                    return load(server, load_core, "load", *words)

                quiet[count].figures.append(once(_QUIET_CLIENTS, []))
                others = [f"{directory}/{count}-{number}" for number in range(1, count)]
                busy[count].figures.append(once(_BUSY_CLIENTS, others))
    return [*quiet.values()], [*busy.values()]


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line.

    Raises:
        SystemExit: it cannot be followed; said on standard error.
    """
    parser = page.parser("./dev bench growth", __doc__)
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds (5)")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of each (1)")
    return page.parsed(parser, words)


def main() -> None:
    """Run from the command line."""
    options = arguments()
    if options.kept:
        growth = results.load(options.kept[-1], Growth)
    else:
        machine = Machine.here()
        limit = raise_limits()
        counts = [count for count in CONNECTIONS if count + _OTHER_DESCRIPTORS < limit]
        build()
        with workplace() as directory:
            connections = by_connections(directory, counts, options.repeats, options.seconds)
            quiet, busy = by_endpoints(directory, options.repeats, options.seconds)
        growth = Growth(machine, options.repeats, options.seconds, connections, quiet, busy)
        if options.json:
            results.save(options.json, growth)
    print(told(growth))
    if options.write:
        page.write(options.write, written(growth), drawn(growth))


if __name__ == "__main__":
    main()
