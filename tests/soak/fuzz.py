"""Fuzz for as long as there is time: the same machines as in the tests, with other cases each time.

And the pure decoders under atheris, which follows their branches, where it is installed. It has no
wheel for every Python, so it is nobody's requirement.
"""

import importlib.util
import os
import secrets
import subprocess
import sys
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.fuzz.test_junk import Junk
from tests.fuzz.test_supervisor import Endpoints
from tests.integration.harness import CHECKOUT
from tests.soak.target import Report

_MACHINES = (Endpoints, Junk)
_ROUND = 20  # cases of a machine before the next one's turn


def machines(report: Report, seconds: float) -> None:
    """Run the machines in turn until the time is up; a failure prints how to repeat it."""
    deadline = time.monotonic() + seconds
    cases, failed = 0, False
    while not failed and (cases == 0 or time.monotonic() < deadline):
        for machine in _MACHINES:
            number = secrets.randbits(32)
            failed = failed or not _run(machine, number)
            cases += _ROUND
    report.add("fuzz: cases of any calls, events and junk", f"{cases:,}")
    report.add("  failures", "1, see above" if failed else "0", "0", fine=not failed)


def _run(machine: type[RuleBasedStateMachine], number: int) -> bool:
    many = settings(
        max_examples=_ROUND,
        stateful_step_count=50,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # making a failing case small takes minutes that nobody has here
        suppress_health_check=list(HealthCheck),
    )

    @seed(number)
    class Seeded(machine):  # type: ignore[misc, valid-type] # a variable, as it has to be
        pass

    try:
        run_state_machine_as_test(Seeded, settings=many)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
        sys.stderr.write(f"soak: {machine.__name__}, seed {number}: {error!r}\n")
        for note in getattr(error, "__notes__", []):
            sys.stderr.write(f"{note}\n")
        return False
    return True


def decoders(report: Report, seconds: float) -> None:
    """Have atheris feed the decoders, each for its share of the time."""
    if importlib.util.find_spec("atheris") is None:
        report.add("atheris (coverage guided)", "not installed: left out")
        sys.stderr.write("soak: for the decoders under atheris: pip install atheris\n")
        return
    for name in ("framing", "wire", "state", "netlink", "config"):
        program = [sys.executable, "-m", "tests.soak.decoders", name]
        limits = [f"-max_total_time={max(int(seconds / 5), 1)}", "-max_len=4096", "-verbosity=0"]
        done = subprocess.run(
            [*program, *limits],
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
        )
        fine = done.returncode == 0
        if not fine:
            sys.stderr.write(done.stdout[-2000:] + done.stderr[-3000:])
        report.add(f"atheris: {name}", "no crash" if fine else "see above", "no crash", fine=fine)
