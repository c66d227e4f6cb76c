"""How cost grows: with connections, with endpoints, with connections that are idle.

python -m benchmarks.growth [--seconds S] [--json FILE]
"""

import argparse
import json
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import cores, load
from benchmarks.servers import Server, Settings, build, raise_limits, running

_CONNECTIONS = (1, 10, 100, 1000, 10_000)
_ENDPOINTS = (1, 10, 100, 1000)
_CLIENTS = 32
_SIZE = 64
_RAW = Settings(endpoint='framing = "chunk"')


def by_connections(directory: Path, seconds: float) -> list[dict[str, float]]:
    """Measure messages a second and what each costs, all connections busy."""
    rows = []
    for count in _CONNECTIONS:
        row: dict[str, float] = {"connections": count}
        for name in ("C epoll", "localechod"):
            with running(name, "stream", directory, cores()[0], _RAW) as it:
                found = load(it, cores()[1], "load", "stream", it.path, count, _SIZE, 1, seconds)
                row[name] = found.rate
                if name == "localechod":
                    row["cost_us"] = found.cost or 0.0
        rows.append(row)
    return rows


def by_endpoints(directory: Path, seconds: float) -> list[dict[str, float]]:
    """Measure one busy endpoint among others without traffic."""
    rows = []
    for count in _ENDPOINTS:
        others = "".join(
            f'[endpoints.e{number}]\ntype = "stream"\npath = "{directory}/e{number}"\n'
            for number in range(1, count)
        )
        settings = Settings(endpoint=f'framing = "chunk"\n{others}')
        with running("localechod", "stream", directory, cores()[0], settings) as it:
            found = load(it, cores()[1], "load", "stream", it.path, _CLIENTS, _SIZE, 1, seconds)
            rows.append(
                {
                    "endpoints": count,
                    "rate": found.rate,
                    "cost_us": found.cost or 0.0,
                    "memory_kib": it.memory(),
                }
            )
    return rows


def idle(directory: Path, seconds: float) -> dict[str, float]:
    """Measure memory and processor time with nobody there, and with many who say nothing."""
    with running("localechod", "stream", directory, cores()[0]) as it, ExitStack() as stack:
        alone = it.memory()
        used = _rest(it, seconds)
        many = _CONNECTIONS[-1]
        for _ in range(many):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(it.path)
        client.send(b"the last one\n")  # answered when all have been accepted
        client.recv(64)
        return {
            "memory_kib": alone,
            "memory_per_connection_kib": (it.memory() - alone) / many,
            "processor_ms": used * 1e3,
            "processor_ms_with_connections": _rest(it, seconds) * 1e3,
            "seconds": seconds,
        }


def _rest(server: Server, seconds: float) -> float:
    """Return the processor time that a server takes while nothing happens."""
    before = server.processor()
    time.sleep(seconds)
    return server.processor() - before


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds to watch it idle")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    raise_limits()
    build()
    with tempfile.TemporaryDirectory(prefix="le-bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o777)  # servers of other users bind here
        results = {
            "connections": by_connections(directory, options.seconds),
            "endpoints": by_endpoints(directory, options.seconds),
            "idle": idle(directory, options.idle),
        }
    print(json.dumps(results, indent=1))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
