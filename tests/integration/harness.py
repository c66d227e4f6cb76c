"""A real daemon: its own directory, its own configuration, its own process; and real users."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest

# What a daemon started as root becomes in these tests; it exists everywhere.
SERVICE_USER = "nobody"
DEADLINE = 20.0

# Another user's localechoctl. Everything is imported first: that user may not be able to read the
# place where Python or this checkout lies, such as /root.
AS_USER = """
import encodings.idna, importlib, os, pkgutil, sys
import localechod
for module in pkgutil.walk_packages(localechod.__path__, "localechod."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
uid = int(sys.argv.pop(1))
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
sys.argv[0] = "localechoctl"
sys.exit(localechod.ctl.app.main())
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become other users")


class Daemon:
    """One daemon under test. Readiness is what it tells systemd, so nothing waits by sleeping."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runtime = directory / "run"
        self.config = directory / "localechod.toml"
        self.log = directory / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, endpoints: str, *, service: str = "", head: str = "") -> None:
        """Write the configuration; as root with a service user that exists."""
        user = f'user = "{SERVICE_USER}"\n' if os.geteuid() == 0 else ""
        self.config.write_text(
            f"version = 1\n{head}\n[service]\n{user}{service}\n{endpoints}", encoding="utf-8"
        )

    def command(self, *arguments: str) -> list[str]:
        """Return the daemon's command line."""
        own = ["-c", str(self.config), "--runtime-dir", str(self.runtime)]
        return [sys.executable, "-m", "localechod", *own, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end: for what must not start, and for what ends at once."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    def start(self, *arguments: str) -> "Daemon":
        """Start it, and return when it says that it is ready."""
        with ExitStack() as stack, self.log.open("ab") as log:
            notify = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            notify.bind(f"\0localechod-test-{os.getpid()}-{self.directory.name}")
            notify.settimeout(DEADLINE)
            self.process = subprocess.Popen(
                self.command(*arguments),
                env={**os.environ, "NOTIFY_SOCKET": f"@{notify.getsockname()[1:].decode()}"},
                stderr=log,
            )
            while b"READY=1" not in notify.recv(4096).splitlines():
                pass
        return self

    def stop(self) -> int:
        """End it with TERM; return its exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        """Make sure that nothing is left, however the test ended."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def path(self, name: str) -> str:
        """Return the path of an endpoint without one of its own."""
        return str(self.runtime / f"{name}.sock")

    def ctl(self, *arguments: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run `localechoctl` against it, as another user if asked."""
        program = ["-m", "localechod.ctl.app"] if user is None else ["-c", AS_USER, str(user)]
        return subprocess.run(
            [sys.executable, *program, *arguments],
            env={**os.environ, "LOCALECHOD_CONTROL": str(self.runtime / "control.sock")},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def connect(self, name: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """Connect to an endpoint, with a deadline on everything."""
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.settimeout(DEADLINE)
        sock.connect(self.path(name) if "/" not in name and name[0] != "\0" else name)
        return sock


def receive(sock: socket.socket, size: int) -> bytes:
    """Read exactly so many bytes, or what came before end of file."""
    data = b""
    while len(data) < size and (part := sock.recv(size - len(data))):
        data += part
    return data


def until(condition: Callable[[], bool]) -> None:
    """Wait for what announces itself to nobody, with a deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        select.select([], [], [], 0.01)


def as_user(uid: int, groups: Iterable[int], action: Callable[[], int]) -> int:
    """Do something as another user in a forked process; return the errno or small number it says.

    An OSError is told by its errno; what the action returns has to fit an exit status.
    """
    pid = os.fork()
    if pid == 0:
        status = 255
        try:
            os.setgroups(list(groups))
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            status = action()
        except OSError as error:
            status = error.errno or 254
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def connect_errno(path: str, kind: int = socket.SOCK_STREAM) -> int:
    """Connect and hang up; return the errno, 0 for success."""
    with socket.socket(socket.AF_UNIX, kind) as sock:
        return sock.connect_ex(path)
