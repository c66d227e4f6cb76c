"""Measure, and print a table; keep the figures, draw them for the documentation.

./dev bench                                       all, 7 rounds of a second
./dev bench --repeats 3 --seconds 0.2 seqpacket   less of it
./dev bench --json run.json                       keep the figures
./dev bench --from run.json --write docs          draw what was kept

How cost grows, how the daemon starts and rests: ./dev bench growth, ready or
idle; each has --help.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import page, results
from benchmarks.measure import Figure, alternate, cores, load
from benchmarks.results import Machine, Outcome, Run
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.servers import Server, build, is_here, raise_limits, running, workplace
from benchmarks.tables import drawn, written


def measure(scenario: Scenario, directory: Path, repeats: int, seconds: float) -> Outcome:
    """Run one scenario against everyone who is here."""
    servers_core, loads_core = cores()
    with ExitStack() as stack:
        names = (scenario.yardstick, *scenario.ours, *scenario.others)
        servers = [
            stack.enter_context(
                running(name, scenario.kind, directory, servers_core, scenario.ours.get(name))
            )
            for name in filter(is_here, names)
        ]

        def once(server: Server) -> Figure:
            kind = () if scenario.program == "visit" else (scenario.kind,)
            arguments = (*kind, server.path, *scenario.arguments, seconds)
            core = servers_core if scenario.shared else loads_core
            return load(server, core, scenario.program, *arguments)

        figures = alternate(servers, repeats, once)
    return Outcome(scenario.name, scenario.yardstick, figures)


def show(outcome: Outcome) -> None:
    """Print one scenario's rows."""
    print(f"\n{outcome.scenario}")
    for name in outcome.servers:
        ratio, rate, cost = outcome.ratio(name), outcome.rate(name), outcome.cost(name)
        print(
            f"  {name:30}{ratio.median:6.2f}  ({ratio.low:.2f} to {ratio.high:.2f})"
            f"{rate.median:11,.0f}/s" + (f"{cost.median:8.2f} us" if cost else "")
        )


def measured(scenarios: Sequence[Scenario], repeats: int, seconds: float, keep: Path | None) -> Run:
    """Measure scenarios; print, and keep in a file, each as soon as it is there."""
    run = Run(Machine.here(), repeats, seconds, [])
    raise_limits()
    build()
    with workplace() as directory:
        for scenario in scenarios:
            run.outcomes.append(measure(scenario, directory, repeats, seconds))
            show(run.outcomes[-1])
            if keep:
                results.save(keep, run)
    return run


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; `scenarios` are those that it means.

    Raises:
        SystemExit: it cannot be followed; said on standard error.
    """
    parser = page.parser("./dev bench", __doc__)
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="rounds (7)")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of each (1)")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="part of its name")
    options = page.parsed(parser, words)
    if options.kept and options.scenarios:
        parser.error("--from measures nothing: no SCENARIO goes with it")
    if options.write and options.scenarios:
        parser.error("--write makes whole tables: measure all, or put runs together by --from")
    options.scenarios = [
        scenario
        for scenario in SCENARIOS
        if not options.scenarios or any(part in scenario.name for part in options.scenarios)
    ]
    if not options.scenarios:
        sys.exit(f"no such scenario; there are: {', '.join(each.name for each in SCENARIOS)}")
    return options


def main() -> None:
    """Run from the command line."""
    options = arguments()
    if options.kept:
        run = results.joined([results.load(file, Run) for file in options.kept])
        for outcome in run.outcomes:
            show(outcome)
    else:
        run = measured(options.scenarios, options.repeats, options.seconds, options.json)
    if options.write:
        page.write(options.write, written(run), drawn(run))


if __name__ == "__main__":
    main()
