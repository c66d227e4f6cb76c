"""`./dev soak attacks`: one attack after the other, then all at once."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.attacks.answers import Answers
from tests.attacks.catalog import ATTACKS, MIB
from tests.attacks.machine import attacked
from tests.attacks.trial import REST, Trial, attempt
from tests.system.conftest import install
from tests.system.machine import booted, missing

HEAD = (
    "             ENDPOINTS, ms         STATUS, ms      MEMORY, MiB LOG LINES PULSE CPU\n"
    "ATTACK         CALM  99 % WORST   99 %  WORST   WAS MOST AFTER   ALL  /s    s   %"
)


def attacks(arguments: Sequence[str]) -> int:
    """Run the attacks that are named, or each, and all at once; return 1 where something breaks."""
    parser = argparse.ArgumentParser(prog="./dev soak attacks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each (default 10)")
    parser.add_argument("--connections", type=int, default=16, help="of each (default 16)")
    parser.add_argument(
        "--machine",
        action="store_true",
        help="all at once, on a booted machine's service under its shipped unit",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, {', '.join(ATTACKS)}")
    options = parser.parse_args(arguments)
    if options.machine:
        return _on_systemd(options.names or list(ATTACKS), options.connections, options.seconds)
    rounds = {name: [name] for name in ATTACKS} | {"all": list(ATTACKS)}
    broken = []
    sys.stdout.write(f"{HEAD}\n")
    for name in options.names or rounds:
        if name not in rounds:
            parser.error(f"no attack {name}")
        trial = attempt(rounds[name], options.connections, options.seconds)
        sys.stdout.write(f"{row(name, trial)}\n")
        sys.stdout.flush()
        broken += [f"{name}: {fault}" for fault in trial.faults]
    sys.stdout.write("\n" + "\n".join(broken or ["everything held"]) + "\n")
    return int(bool(broken))


def row(name: str, trial: Trial) -> str:
    """Return a line of the table."""
    before, during, after = trial.before, trial.during, trial.after
    echoes, statuses = trial.echoes, trial.statuses
    seconds = (trial.calm.share(1), echoes.share(0.99), echoes.share(1))
    cells = [f"{name:<12} ", *(f"{each * 1000:6.1f}" for each in seconds)]
    cells += [f"{each * 1000:7.1f}" for each in (statuses.share(0.99), statuses.share(1))]
    cells += [f"{each / MIB:5.0f}" for each in (before.memory, during.most_memory, after.memory)]
    cells += [f"{during.lines + after.lines:6}", f"{max(during.most_lines, after.most_lines):4}"]
    cells += [f"{max(during.pause, after.pause):5.1f}", f"{during.processor * 100:4.0f}"]
    return "".join([*cells, " *" * bool(trial.faults)])


def _on_systemd(names: Sequence[str], connections: int, seconds: float) -> int:
    """Attack the service of a machine; return 1 where it did not survive that."""
    reason = missing()
    if reason:
        sys.exit(f"soak: no machine to boot: {reason}")
    with (
        tempfile.TemporaryDirectory(prefix="localechod-machine-") as directory,
        booted(Path(directory)) as machine,
    ):
        install(machine)
        seen = attacked(machine, names, connections, seconds, REST)
    survived = seen.restarts == "0" and seen.pids[0] == seen.pids[1]
    rows = [
        ("attacks at once, connections of each", f"{len(names)}, {connections}"),
        ("seconds", f"{seconds:.0f}"),
        ("NRestarts, pid before, pid after", f"{seen.restarts}, {', '.join(seen.pids)}"),
        ("memory before, most, after, MiB", ", ".join(f"{n / MIB:.0f}" for n in seen.memory)),
        ("log lines, most in a second", ", ".join(map(str, seen.lines))),
        ("watchdog notified within, s; its period", f"{seen.pause:.1f}; {seen.period:.1f}"),
        *(row for who in seen.during for row in _compared(who, seen.calm[who], seen.during[who])),
    ]
    sys.stdout.write("".join(f"{what:<45} {value}\n" for what, value in rows))
    return int(not survived)


def _compared(who: str, calm: Answers, during: Answers) -> list[tuple[str, str]]:
    """Return rows about the requests of one, beside processes that spin and under attack."""
    what = {"root": "status for root"}.get(who, who)
    phases = ", ".join(f"{name} {each * 1000:.0f}" for name, each in during.slowest.items())
    return [
        (f"{what}, processes spin: median, 99 %, worst, ms", _shares(calm)),
        (f"{what}, under attack", _shares(during)),
        *([("    the worst one, ms", phases)] if phases else []),
        ("    longer than beside processes that spin, ms", _longer(calm, during)),
        ("    wrong", "; ".join(during.failures[:3]) or "0"),
    ]


def _longer(calm: Answers, during: Answers) -> str:
    return ", ".join(f"{(during.share(p) - calm.share(p)) * 1000:.1f}" for p in (0.5, 0.99, 1))


def _shares(answers: Answers) -> str:
    parts = [answers.share(part) * 1000 for part in (0.5, 0.99, 1)]
    return ", ".join(f"{part:.1f}" for part in parts)
