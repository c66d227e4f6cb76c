"""Measure, print a table, and write the figures as JSON.

python -m benchmarks [--repeats N] [--seconds S] [--json FILE] [SCENARIO...]
"""

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import Figure, alternate, cores, load, ratios
from benchmarks.scenarios import OURS, SCENARIOS, Scenario
from benchmarks.servers import Server, build, is_here, raise_limits, running
from localechod.bench.spread import Spread


def measure(scenario: Scenario, directory: Path, repeats: int, seconds: float) -> dict[str, object]:
    """Run one scenario against everyone who is here."""
    ours, loads = cores()
    with ExitStack() as stack:
        names = (scenario.yardstick, OURS, *filter(is_here, scenario.others))
        servers = [
            stack.enter_context(running(name, scenario.kind, directory, ours, scenario.settings))
            for name in names
        ]

        def once(server: Server) -> Figure:
            kind = () if scenario.program == "visit" else (scenario.kind,)
            arguments = (*kind, server.path, *scenario.arguments, seconds)
            return load(server, loads, scenario.program, *arguments)

        figures = alternate(servers, repeats, once)
    yardstick = figures[scenario.yardstick]
    return {
        "scenario": scenario.name,
        "yardstick": scenario.yardstick,
        "servers": {
            name: {
                "ratio": asdict(ratios(found, yardstick)),
                "rate": asdict(Spread.of([figure.rate for figure in found])),
                "cost": asdict(Spread.of([figure.cost or 0.0 for figure in found])),
            }
            for name, found in figures.items()
        },
    }


def show(result: dict[str, object]) -> None:
    """Print one scenario's rows."""
    print(f"\n{result['scenario']}")
    for name, found in result["servers"].items():  # type: ignore[attr-defined]
        ratio, rate, cost = found["ratio"], found["rate"], found["cost"]
        print(
            f"  {name:18}{ratio['median']:6.2f}  ({ratio['low']:.2f} to {ratio['high']:.2f})"
            f"{rate['median']:12,.0f}/s{cost['median']:8.2f} us"
        )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="part of a name")
    options = parser.parse_args()
    chosen = [
        scenario
        for scenario in SCENARIOS
        if not options.scenarios or any(part in scenario.name for part in options.scenarios)
    ]
    if not chosen:
        sys.exit(f"no such scenario; there are: {', '.join(each.name for each in SCENARIOS)}")
    raise_limits()
    build()
    results = []
    with tempfile.TemporaryDirectory(prefix="le-bench-", dir="/tmp") as name:  # sun_path is short
        directory = Path(name)
        directory.chmod(0o777)  # servers of other users bind here
        for scenario in chosen:
            results.append(measure(scenario, directory, options.repeats, options.seconds))
            show(results[-1])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
