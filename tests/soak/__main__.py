"""`./dev soak`: what takes minutes; see docs/faults.md for what it looks for."""

import argparse
import logging
import sys
import time

from tests.soak.attacks import attacks
from tests.soak.churn import churn, odd
from tests.soak.crowd import crowd, exhaustion
from tests.soak.fuzz import decoders, machines
from tests.soak.target import Report


def main() -> int:
    """Run everything; return 1 where a bound was broken."""
    if sys.argv[1:2] == ["attacks"]:
        return attacks(sys.argv[2:])
    # What the service under fuzz has to say would bury the table.
    logging.getLogger("localechod").addHandler(logging.NullHandler())
    parser = argparse.ArgumentParser(prog="./dev soak", description="Load, faults and fuzz.")
    parser.add_argument(
        "--minutes",
        type=float,
        default=5.0,
        help="how long in all: what the loads leave is for fuzz, at least one round (default 5)",
    )
    parser.add_argument("--connections", type=int, default=10_000, help=argparse.SUPPRESS)
    parser.add_argument("--connects", type=int, default=100_000, help=argparse.SUPPRESS)
    options = parser.parse_args()
    ending = time.monotonic() + options.minutes * 60
    report = Report()
    crowd(report, options.connections)
    exhaustion(report, max(options.connections // 10, 64))
    churn(report, options.connects)
    odd(report, options.connects // 50)
    decoders(report, max(ending - time.monotonic(), 10) / 3)
    machines(report, ending - time.monotonic())
    sys.stdout.write(f"\n{report.text()}\n")
    return int(report.broken > 0)


if __name__ == "__main__":
    sys.exit(main())
