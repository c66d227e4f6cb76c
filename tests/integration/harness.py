"""A real daemon: its own directory, its own configuration, its own process; and real users."""

import fcntl
import json
import os
import pwd
import select
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from localechod.localsocket.holders import is_contained

# What a daemon started as root becomes in these tests; it exists everywhere.
SERVICE_USER = "nobody"
DEADLINE = 20.0
CHECKOUT = Path(__file__).resolve().parents[2]

# Another user's localechoctl.
AS_USER = """
import encodings.idna, os, sys
from tests.everything import import_everything
import_everything()
from localechod.ctl.__main__ import main
uid = int(sys.argv.pop(1))
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
sys.argv[0] = "localechoctl"
sys.exit(main())
"""

OWN_ACCOUNT = pwd.getpwuid(os.geteuid()).pw_name
NEEDS_ROOT = "needs root"  # what every test says that is skipped for want of it
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason=NEEDS_ROOT)
needs_all_namespaces = pytest.mark.skipif(
    is_contained(), reason="in a container, not all network namespaces can be searched"
)


class Daemon:
    """One daemon under test. Readiness is what it tells systemd, so nothing waits by sleeping."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runtime = directory / "run"
        self.config = directory / "localechod.toml"
        self.log = directory / "log"
        self.launcher: list[str] = []  # a command that runs the daemon's, such as prlimit(1)
        self.environment: dict[str, str] = {}
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
        return [sys.executable, "-m", "localechod.daemon", *own, *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end: for what must not start, and for what ends at once."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    def start(self, *arguments: str) -> "Daemon":
        """Start it, and return when it says that it is ready.

        Raises:
            AssertionError: it has ended, or is not ready in time; with its log.
        """
        with ExitStack() as stack, self.log.open("ab") as log:
            notify = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            notify.bind(self.notified)
            self.process = subprocess.Popen(
                [*self.launcher, *self.command(*arguments)],
                env={
                    **os.environ,
                    **self.environment,
                    "NOTIFY_SOCKET": f"@{self.notified[1:]}",
                },
                stderr=log,
            )
            ended = os.pidfd_open(self.process.pid)
            stack.callback(os.close, ended)
            message = b""
            while b"READY=1" not in message.splitlines():
                readable = select.select([notify.fileno(), ended], [], [], DEADLINE)[0]
                if notify.fileno() not in readable:
                    state = "has ended" if readable else "is not ready in time"
                    raise AssertionError(f"the daemon {state}:\n{self.log.read_text('utf-8')}")
                message = notify.recv(4096)
        return self

    @property
    def notified(self) -> str:
        """The abstract address to which it sends notifications; nobody has it after `start`."""
        return f"\0localechod-test-{os.getpid()}-{self.directory.name}"

    @property
    def pid(self) -> int:
        """The process under test."""
        assert self.process is not None
        return self.process.pid

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
        program = ["-m", "localechod.ctl"] if user is None else ["-c", AS_USER, str(user)]
        return subprocess.run(
            [sys.executable, *program, *arguments],
            env={**os.environ, "LOCALECHOD_CONTROL": str(self.runtime / "control.sock")},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def row(self, name: str) -> dict[str, Any]:
        """Return what `status --json` says of an endpoint."""
        row: dict[str, Any]
        (row,) = json.loads(self.ctl("status", "--json", name).stdout)["endpoints"]
        return row

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return what `status --json` says of every endpoint, by name."""
        endpoints = json.loads(self.ctl("status", "--json").stdout)["endpoints"]
        return {row["name"]: row for row in endpoints}

    def errors(self, name: str) -> dict[str, int]:
        """Return what an endpoint has counted as errors, by reason."""
        errors: dict[str, int] = self.row(name)["errors"]
        return errors

    def control_errors(self) -> dict[str, int]:
        """Return what the control socket has counted as errors, by reason."""
        control = json.loads(self.ctl("status", "--json").stdout)["control"]
        errors: dict[str, int] = control["errors"]
        return errors

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


def fill_up(
    socks: Iterable[socket.socket], messages: Sequence[bytes], turn: Callable[[], object]
) -> None:
    """Send until nothing more fits for good: until the daemon has stopped reading from all.

    Args:
        socks: clients that never read.
        messages: what each sends, in turn.
        turn: has something else answered by the daemon, which proves that it has had its turn.
    """

    def stuck() -> bool:
        more = 0
        for _ in range(5):
            for sock in socks:
                sock.setblocking(False)
                with suppress(BlockingIOError):
                    while True:
                        for message in messages:
                            sock.send(message)
                            more += 1
            turn()
        return not more

    until(stuck)


def is_read(sock: socket.socket) -> bool:
    """Tell whether the other side has read everything that was sent (SIOCOUTQ, unix(7))."""
    (unread,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))
    return not unread


def is_answered(sock: socket.socket) -> bool:
    """Tell whether a reply is there by now."""
    return bool(select.select([sock], [], [], 0)[0])


def descriptors(pid: int) -> int:
    """Count the descriptors that a process has open."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except PermissionError:
        pytest.skip(NEEDS_ROOT)  # the daemon is not dumpable


def resident(pid: int) -> int:
    """Return the memory of a process (VmRSS, proc(5)) in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used: utime and stime of proc(5)."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    utime, stime = stat.rpartition(")")[2].split()[11:13]
    return (int(utime) + int(stime)) / os.sysconf("SC_CLK_TCK")


def until(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Wait for what announces itself to nobody, with a deadline."""
    deadline = time.monotonic() + seconds
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
