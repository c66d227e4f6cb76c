#!/usr/bin/env python3
"""How long localechoctl takes to start, beside `python -c 'import typer'` and whatever you name.

    .venv/bin/python benchmarks/startup.py
    .venv/bin/python benchmarks/startup.py --against 'supervisorctl -c FILE status'

Starts a daemon of its own in a directory of its own. The commands run in turn, A B A B, and each
run is divided by its neighbour's, as the machine's speed drifts: trust the ratios. Whole processes
are measured, from the fork to the end; processor time is what the kernel accounts to them.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localechod.bench.quartiles import Quartiles

BIN = Path(sys.executable).parent
CTL = str(BIN / "localechoctl")
BASE = [sys.executable, "-c", "import typer"]
CONFIG = """version = 1
{service}
[endpoints.stream]
type = "stream"
[endpoints.datagram]
type = "datagram"
"""


@contextmanager
def daemon() -> Iterator[Path]:
    """Run a daemon; give its control socket."""
    with tempfile.TemporaryDirectory(prefix="startup-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        # Compiled once, as when installed; not beside the sources, where it would stay.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(directory / "bytecode")
        # root serves as an account that every machine has.
        service = '[service]\nuser = "nobody"\n[control]\nadmins = ["root"]' * (os.geteuid() == 0)
        (directory / "c.toml").write_text(CONFIG.format(service=service))
        own = ["-c", str(directory / "c.toml"), "--runtime-dir", str(directory / "run")]
        with subprocess.Popen([BIN / "localechod", *own], stderr=subprocess.DEVNULL) as process:
            try:
                control = directory / "run" / "control.sock"
                subprocess.run([CTL, "--control", control, "wait", "--timeout", "20"], check=True)
                yield control
            finally:
                process.terminate()


def seconds(command: Sequence[str]) -> tuple[float, float]:
    """Run a command once; return the time by the clock and that of the processor.

    Raises:
        SystemExit: it failed.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{shlex.join(command)}: exit status {process.returncode}")
    return elapsed, usage.ru_utime + usage.ru_stime


def spread(values: Sequence[float], scale: float, digits: int) -> str:
    """Return the median and, in brackets, the quartiles."""
    found = Quartiles.of([value * scale for value in values])
    return f"{found.median:.{digits}f} ({found.low:.{digits}f} - {found.high:.{digits}f})"


def compare(name: str, command: Sequence[str], base: Sequence[str], runs: int) -> None:
    """Print a row for a command, beside a base that runs in turn with it."""
    seconds(command), seconds(base)  # warm: files in the page cache, bytecode written
    pairs = [(seconds(command), seconds(base)) for _ in range(runs)]
    ours, theirs = ([pair[side][0] for pair in pairs] for side in (0, 1))
    clock = [a[0] / b[0] for a, b in pairs]
    processor = [a[1] / b[1] for a, b in pairs]
    print(
        f"{name:12} {spread(ours, 1e3, 0):18} {spread(theirs, 1e3, 0):18} "
        f"{spread(clock, 1, 2):20} {spread(processor, 1, 2)}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40, help="runs of each command (40)")
    parser.add_argument("--against", metavar="COMMAND", help="compare `status` with this as well")
    options = parser.parse_args()
    with daemon() as control:
        os.environ["LOCALECHOD_CONTROL"] = str(control)
        print("medians and quartiles; times in ms by the clock")
        print(
            f"{'':12} {'localechoctl':18} {'other':18} {'ratio by the clock':20} of the processor"
        )
        print("beside python -c 'import typer':")
        compare("send", [CTL, "send", "stream", "hello"], BASE, options.runs)
        compare("status", [CTL, "status"], BASE, options.runs)
        if options.against:
            print(f"beside {options.against}:")
            compare("status", [CTL, "status"], shlex.split(options.against), options.runs)


if __name__ == "__main__":
    main()
