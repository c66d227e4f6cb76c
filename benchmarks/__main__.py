"""Compare echo servers under load: print a table, keep the results, draw them for the docs.

./dev bench                                       all scenarios, 7 rounds of a second
./dev bench --repeats 3 --seconds 0.2 seqpacket   a part of them, shorter
./dev bench --json run.json                       keep the results
./dev bench --from run.json --write docs          draw kept results
./dev bench --against ../other                    beside the daemon of another checkout

Other benchmarks: ./dev bench growth (cost by connections and endpoints),
fairness (latency beside a flood), ready (start-up), idle (the daemon at rest),
explain (beside ss and lsof); each has --help.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import command, page, results
from benchmarks.measure import Sample, alternate, cores, load
from benchmarks.results import Machine, Outcome, Run
from benchmarks.scenarios import SCENARIOS, Scenario, against, before
from benchmarks.servers import (
    Server,
    build,
    is_installed,
    raise_descriptor_limit,
    running,
    socket_directory,
)
from benchmarks.tables import blocks, pictures


def measure(scenario: Scenario, directory: Path, repeats: int, seconds: float) -> Outcome:
    """Run one scenario with all of its servers that are installed."""
    server_core, load_core = cores()
    with ExitStack() as stack:
        names = (scenario.baseline, *scenario.ours, *scenario.others)
        servers = [
            stack.enter_context(
                running(name, scenario.kind, directory, server_core, scenario.ours.get(name))
            )
            for name in filter(is_installed, names)
        ]

        def once(server: Server) -> Sample:
            kind = () if scenario.program == "visit" else (scenario.kind,)
            arguments = (*kind, server.path, *scenario.arguments, seconds)
            core = server_core if scenario.shared else load_core
            return load(server, core, scenario.program, *arguments)

        samples = alternate(servers, repeats, once)
    return Outcome(scenario.name, scenario.baseline, samples)


def show(outcome: Outcome) -> None:
    """Print the rows of one scenario."""
    print(f"\n{outcome.scenario}")
    width = max(30, *map(len, outcome.servers))
    for name in outcome.servers:
        ratio, rate, cost = outcome.ratio(name), outcome.rate(name), outcome.cost(name)
        print(
            f"  {name:{width}}{ratio.median:6.2f}  ({ratio.low:.2f} to {ratio.high:.2f})"
            f"{rate.median:11,.0f}/s" + (f"{cost.median:8.2f} us" if cost else "")
        )
    for name in outcome.servers:
        if name != (other := before(name)) and other in outcome.servers:
            ratio = outcome.ratio(name, other)
            print(f"  {name}, relative to before: {ratio.text()}")


def measured(scenarios: Sequence[Scenario], repeats: int, seconds: float, keep: Path | None) -> Run:
    """Measure scenarios; print each as soon as it is measured, and keep it in a file."""
    run = Run(Machine.here(), repeats, seconds, [])
    raise_descriptor_limit()
    build()
    with socket_directory() as directory:
        for scenario in scenarios:
            run.outcomes.append(measure(scenario, directory, repeats, seconds))
            show(run.outcomes[-1])
            if keep:
                results.save(keep, run)
    return run


def arguments(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; `scenarios` are the selected ones.

    Raises:
        SystemExit: the command line is wrong; the reason is on standard error.
    """
    parser = command.parser("./dev bench", __doc__)
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="rounds (7)")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="of a round (1)")
    command.add_against(parser)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="a part of its name")
    options = command.parse(parser, args)
    if options.kept and (options.scenarios or options.against):
        parser.error("--from measures nothing: it takes no SCENARIO and no --against")
    if options.write and options.scenarios:
        parser.error("--write needs all scenarios: measure all, or combine kept runs by --from")
    options.scenarios = [
        scenario
        for scenario in SCENARIOS
        if not options.scenarios or any(part in scenario.name for part in options.scenarios)
    ]
    if options.against:
        options.scenarios = [against(each, options.against) for each in options.scenarios]
    if not options.scenarios:
        sys.exit(f"no such scenario; there are: {', '.join(each.name for each in SCENARIOS)}")
    return options


def main() -> None:
    """Run from the command line.

    Not by `command.Benchmark`: scenarios are printed and kept singly, and kept runs are combined.
    """
    options = arguments()
    if options.kept:
        run = results.combined([results.load(file, Run) for file in options.kept])
        for outcome in run.outcomes:
            show(outcome)
    else:
        run = measured(options.scenarios, options.repeats, options.seconds, options.json)
    if options.write:
        page.write(options.write, blocks(run), pictures(run))


if __name__ == "__main__":
    main()
