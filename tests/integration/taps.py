"""Commands that run with and without `localechoctl tap`, and servers that they talk to."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.integration.harness import AS_USER, CHECKOUT

SYSTEM_PYTHON = "/usr/bin/python3"
TAP = [sys.executable, "-m", "localechod.ctl", "tap"]

Serve = Callable[[socket.socket], None]
Done = subprocess.CompletedProcess[str]


@contextmanager
def serving(
    address: Path | str, serve: Serve, type_: int = socket.SOCK_STREAM, backlog: int = 16
) -> Iterator[int]:
    """Run a server in a process of its own; give its pid. A str is an abstract name."""
    with socket.socket(socket.AF_UNIX, type_) as server:
        server.bind(f"\0{address}" if isinstance(address, str) else str(address))
        if isinstance(address, Path):
            address.chmod(0o666)
        if type_ != socket.SOCK_DGRAM:
            server.listen(backlog)
        pid = os.fork()
        if not pid:
            try:
                with suppress(OSError):
                    serve(server)
            finally:
                os._exit(1)
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def client(script: str, *arguments: object) -> list[str]:
    """Return the command of a small client; its arguments are in sys.argv."""
    head = "import array, os, socket, sys\nU = socket.AF_UNIX\n"
    return [sys.executable, "-c", head + script, *map(str, arguments)]


def run(command: Sequence[str], **options: Any) -> Done:
    """Run a command to its end."""
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=CHECKOUT, **options
    )


def tapped(target: Path | str, command: Sequence[str], *options: str, **more: Any) -> Done:
    """Run a command under the tap; its standard error has the tap's lines too."""
    return run([*TAP, str(target), *options, "--", *command], **more)


def tapped_by(user: int, target: Path | str, command: Sequence[str]) -> Done:
    """Run a command under the tap as another user, to whom the checkout may be closed.

    The command's Python is the system's: the user cannot execute one below /root, for example.
    """
    words = [SYSTEM_PYTHON, *command[1:]]
    return run([sys.executable, "-c", AS_USER, str(user), "tap", str(target), "--", *words])


def assert_same(target: Path | str, command: Sequence[str]) -> Done:
    """Run a command without and with the tap; return the second, which ended as the first did."""
    plain, through = run(command), tapped(target, command)
    assert (through.returncode, through.stdout) == (plain.returncode, plain.stdout), through.stderr
    return through
