"""How cost grows with connections, with busy endpoints, and with idle endpoints.

./dev bench growth --repeats 5 --json growth.json
./dev bench growth --from growth.json --write docs
"""

import argparse
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import command
from benchmarks.growth_report import Growth, Step, as_text, blocks, pictures
from benchmarks.measure import Sample, cores, load
from benchmarks.results import Machine
from benchmarks.servers import (
    Server,
    Settings,
    build,
    raise_descriptor_limit,
    running,
    socket_directory,
)

CONNECTIONS = (1, 10, 100, 1000, 10_000)
ENDPOINTS = (1, 10, 100, 1000)
SERVERS = ("C epoll", "localechod")
_ONE_BUSY_CLIENTS = 32  # all on the same endpoint
_ALL_BUSY_CLIENTS = ENDPOINTS[-1]  # spread over all endpoints: one on each of the most endpoints
_SIZE = 64
_OTHER_DESCRIPTORS = 200  # beside connections; localechod reserves 128
_RAW = 'framing = "chunk"'


def by_connections(
    directory: Path, counts: Sequence[int], repeats: int, seconds: float
) -> list[Step]:
    """Measure each count of connections: the load with a message in flight on each, and memory."""
    server_core, load_core = cores()
    found = {name: {count: Step(name, count) for count in counts} for name in SERVERS}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(running(name, "stream", directory, server_core, Settings("", _RAW)))
            for name in SERVERS
        ]
        for server in servers:  # before the load, which enlarges the heap
            for count, memory in _memory_by_connections(server, counts).items():
                found[server.name][count].memory_kib = memory
        for _ in range(repeats):
            for count in counts:
                for server in servers:
                    sample = load(
                        server, load_core, "load", "stream", server.path, count, _SIZE, 1, seconds
                    )
                    found[server.name][count].samples.append(sample)
    return [step for steps in found.values() for step in steps.values()]


def _memory_by_connections(server: Server, counts: Sequence[int]) -> dict[int, float]:
    """Return the server's memory in KiB for each count of idle connections."""
    found = {}
    with ExitStack() as stack:
        for number in range(1, counts[-1] + 1):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(server.path)
            if number in counts:
                client.send(b"the last one\n")  # its reply shows that all have been accepted
                client.recv(64)
                found[number] = server.memory_kib()
    return found


def by_endpoints(directory: Path, repeats: int, seconds: float) -> tuple[list[Step], list[Step]]:
    """Measure each count of endpoints: with one of them busy, and with all of them busy."""
    server_core, load_core = cores()
    one_busy = {count: Step("one endpoint busy", count) for count in ENDPOINTS}
    all_busy = {count: Step("all endpoints busy", count) for count in ENDPOINTS}
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
            one_busy[count].memory_kib = all_busy[count].memory_kib = servers[count].memory_kib()
        for _ in range(repeats):
            for count, server in servers.items():

                def once(clients: int, paths: Sequence[str], server: Server = server) -> Sample:
                    arguments = ("stream", server.path, clients, _SIZE, 1, seconds, *paths)
                    return load(server, load_core, "load", *arguments)

                one_busy[count].samples.append(once(_ONE_BUSY_CLIENTS, []))
                others = [f"{directory}/{count}-{number}" for number in range(1, count)]
                all_busy[count].samples.append(once(_ALL_BUSY_CLIENTS, others))
    return [*one_busy.values()], [*all_busy.values()]


def measured(repeats: int, seconds: float) -> Growth:
    """Measure growth by connections and by endpoints."""
    machine = Machine.here()
    limit = raise_descriptor_limit()
    counts = [count for count in CONNECTIONS if count + _OTHER_DESCRIPTORS < limit]
    build()
    with socket_directory() as directory:
        connections = by_connections(directory, counts, repeats, seconds)
        one_busy, all_busy = by_endpoints(directory, repeats, seconds)
    return Growth(machine, repeats, seconds, connections, one_busy, all_busy)


def arguments(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Raises:
        SystemExit: the command line is wrong; the reason is on standard error.
    """
    parser = command.parser("./dev bench growth", __doc__)
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds (5)")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of a round (1)")
    return command.parse(parser, args)


def main() -> None:
    """Run from the command line."""
    options = arguments()
    benchmark = command.Benchmark(Growth, as_text, blocks, pictures)
    benchmark.run(options, lambda: measured(options.repeats, options.seconds))


if __name__ == "__main__":
    main()
