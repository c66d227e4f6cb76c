#!/usr/bin/env python3
"""How long localechoctl takes, compared with `python -c 'import typer'` and another command.

    .venv/bin/python benchmarks/startup.py
    .venv/bin/python benchmarks/startup.py --against 'supervisorctl -c FILE status'

It starts a daemon in a temporary directory. The commands run in turns, A B A B, and each run is
divided by the adjacent one, because the machine's speed drifts: trust the ratios. It measures whole
processes, from the fork to the exit; their processor time is the kernel's account.
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
    """Run a daemon; yield the path of its control socket."""
    with tempfile.TemporaryDirectory(prefix="startup-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        # Compiled once, as if installed; not beside the sources, where the files would remain.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(directory / "bytecode")
        # Root's daemon runs as an account that every machine has.
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
    """Run a command once; return its wall-clock time and its processor time in seconds.

    Raises:
        SystemExit: the command failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{shlex.join(command)}: exit status {process.returncode}")
    return elapsed, usage.ru_utime + usage.ru_stime


def compare(name: str, command: Sequence[str], base: Sequence[str], runs: int) -> None:
    """Print a row for a command, compared with a base that runs in turns with it."""
    seconds(command), seconds(base)  # warm-up: fill the page cache, write bytecode
    pairs = [(seconds(command), seconds(base)) for _ in range(runs)]
    ours, theirs = (Quartiles.of([pair[side][0] for pair in pairs]) for side in (0, 1))
    wall_clock = Quartiles.of([one[0] / other[0] for one, other in pairs])
    processor = Quartiles.of([one[1] / other[1] for one, other in pairs])
    print(
        f"{name:12} {ours.text(0, 1e3):18} {theirs.text(0, 1e3):18} "
        f"{wall_clock.text():20} {processor.text()}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40, help="runs of each command (40)")
    parser.add_argument("--against", metavar="COMMAND", help="also compare `status` with COMMAND")
    options = parser.parse_args()
    with daemon() as control:
        os.environ["LOCALECHOD_CONTROL"] = str(control)
        print("medians and quartiles; times are wall-clock ms")
        print(f"{'':12} {'localechoctl':18} {'other':18} {'wall-clock ratio':20} processor ratio")
        print("compared with python -c 'import typer':")
        compare("send", [CTL, "send", "stream", "hello"], BASE, options.runs)
        compare("status", [CTL, "status"], BASE, options.runs)
        if options.against:
            print(f"compared with {options.against}:")
            compare("status", [CTL, "status"], shlex.split(options.against), options.runs)


if __name__ == "__main__":
    main()
