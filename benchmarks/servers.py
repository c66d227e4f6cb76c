"""Who is measured: the C yardsticks, localechod, plain rivals, and what people use today."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = Path(__file__).parent / "reference"
BUILD = ROOT / "build/bench"
TYPES = {
    "stream": socket.SOCK_STREAM,
    "seqpacket": socket.SOCK_SEQPACKET,
    "datagram": socket.SOCK_DGRAM,
}

# Seconds that a server has to listen, and to end.
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    Attributes:
        path: its socket.
        pid: of the process that was started.
        forks: whether others do its work, so that what it costs cannot be told.
    """

    name: str
    path: str
    pid: int
    forks: bool = False

    def processor(self) -> float:
        """Return the seconds of processor time that its process has had, by the scheduler."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def wakes(self) -> int:
        """Return how often it went to sleep of its own will, which is how often it was woken."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                return int(line.split()[1])
        raise KeyError(self.pid)

    def memory(self, kind: str = "Rss") -> float:
        """Return its memory in KiB.

        Args:
            kind: as proc_pid_smaps(5) calls it; Pss is smaller, the more processes run the same.
        """
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                return float(line.split()[1])
        raise KeyError(kind)


@dataclass(frozen=True, slots=True)
class Settings:
    """How localechod is started.

    Attributes:
        service: lines of TOML for [service].
        endpoint: the same for its endpoint.
        others: tables of other endpoints. They are bound first: it listens when they all do.
        environment: what is beside its usual variables.
    """

    service: str = ""
    endpoint: str = ""
    others: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def build() -> None:
    """Compile the yardsticks and the load.

    Raises:
        subprocess.CalledProcessError: there is no compiler, or it refuses.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    for source in REFERENCE.glob("*.c"):
        flags = ("-O2", "-Wall", "-Wextra", "-Werror", "-o", str(BUILD / source.stem))
        subprocess.run(["cc", *flags, str(source)], check=True)


@contextmanager
def workplace() -> Iterator[Path]:
    """Have a directory for sockets: a short one, for sun_path, where every account may bind."""
    with tempfile.TemporaryDirectory(prefix="le-bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o777)
        yield directory


def raise_limits() -> int:
    """Take as many descriptors as there may be, for ourselves and for what we start; how many."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


# Ourselves, without what has been compiled.
PURE = "localechod, pure Python"

# What people use today. Each of them starts a process for each client.
OTHERS = ("socat PIPE", "ncat cat", "s6-ipcserver cat")

# What can be started, by name: "{path}" is its socket's. Those that are not installed are left out.
COMMANDS = {
    "C epoll": [f"{BUILD}/echo_connections", "{type}", "{path}"],
    "C recvfrom": [f"{BUILD}/echo_datagrams", "{path}"],
    "C recvmmsg": [f"{BUILD}/echo_datagrams", "{path}", "batch"],
    "uvloop Protocol": [sys.executable, "-m", "benchmarks.rival", "uvloop", "{path}"],
    "asyncio Protocol": [sys.executable, "-m", "benchmarks.rival", "asyncio", "{path}"],
    "socat PIPE": ["socat", "UNIX-LISTEN:{path},fork,backlog=1024", "PIPE"],
    "ncat cat": ["ncat", "-l", "-k", "-m", "2000", "-U", "{path}", "--exec", "/bin/cat"],
    "s6-ipcserver cat": ["s6-ipcserver", "-c", "2000", "{path}", "cat"],
}


def is_here(name: str) -> bool:
    """Whether a server can be started on this machine, and is none that has been started already.

    Where nothing is compiled, localechod is PURE under another name.
    """
    if name == PURE:
        return any((ROOT / "localechod/echo").glob("*.so"))
    return name not in COMMANDS or shutil.which(COMMANDS[name][0]) is not None


@contextmanager
def running(
    name: str, kind: str, directory: Path, cores: set[int], settings: Settings | None = None
) -> Iterator[Server]:
    """Have a server run for as long as the block.

    Args:
        name: a key of COMMANDS, or anything that begins with "localechod".
        kind: the socket's type: stream, seqpacket or datagram.
        directory: for its socket.
        cores: that it may use.
        settings: of localechod, if not the usual ones.

    Raises:
        TimeoutError: it does not listen in time.
        SystemExit: it ended instead; with its last words.
    """
    path = directory / f"{name.replace(' ', '-')}-{kind}.sock"
    settings = settings or Settings()
    if name.startswith("localechod"):
        command = _localechod(path, kind, settings)
    else:
        command = [part.format(path=path, type=kind) for part in COMMANDS[name]]
    words = path.with_suffix(".log")
    with words.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **settings.environment},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - no threads here
            process_group=0,
            stderr=log,
        )
    try:
        _wait_for(path, kind, process, words)
        yield Server(name, str(path), process.pid, name in OTHERS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it has forked
        path.unlink(missing_ok=True)


def _localechod(path: Path, kind: str, settings: Settings) -> list[str]:
    file = path.with_suffix(".toml")
    # Root serves as an account that every machine has.
    identity = 'user = "nobody"\ngroup = "nogroup"\n' if os.geteuid() == 0 else ""
    many = "" if kind == "datagram" else "max_connections = 20000\n"
    file.write_text(
        f'version = 1\n[service]\n{identity}{settings.service}\n[control]\nadmins = ["root"]\n'
        f"{settings.others}"
        f'[endpoints.echo]\ntype = "{kind}"\npath = "{path}"\nmode = "0666"\nprefix = ""\n'
        f"{many}{settings.endpoint}\n"
    )
    where = path.with_suffix(".run")
    return [sys.executable, "-m", "localechod.daemon", "-c", str(file), "--runtime-dir", str(where)]


def _wait_for(path: Path, kind: str, process: subprocess.Popen[bytes], words: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        with socket.socket(socket.AF_UNIX, TYPES[kind]) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                if process.poll() is not None:
                    sys.exit(words.read_text(errors="replace").strip())
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nobody listens at {path}") from None
            else:
                return
        time.sleep(0.02)
