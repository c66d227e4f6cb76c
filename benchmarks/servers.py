"""The servers: plain C ones as the baseline, localechod, and others to compare with."""

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

# Seconds within which a server has to listen, and to exit.
_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        path: of its socket.
        pid: of the process that was started.
        forks: whether it forks for each client, so that its processor time is unknown.
        exchange: options of the load, for a server whose reply is not its request.
    """

    name: str
    path: str
    pid: int
    forks: bool = False
    exchange: tuple[str, ...] = ()

    def cpu_seconds(self) -> float:
        """Return the seconds of processor time of its process, from the scheduler's statistics."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def wakeups(self) -> int:
        """Return how often it was woken up, which is how often it blocked (proc_pid_status(5))."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                return int(line.split()[1])
        raise KeyError(self.pid)

    def memory_kib(self, kind: str = "Rss") -> float:
        """Return its memory in KiB.

        Args:
            kind: a name in proc_pid_smaps(5); Pss divides shared pages by the number of processes.
        """
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                return float(line.split()[1])
        raise KeyError(kind)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of localechod.

    Attributes:
        service: lines of TOML for [service].
        endpoint: lines of TOML for the measured endpoint.
        others: tables of other endpoints, which are bound before the measured one.
        environment: additional environment variables.
        checkout: the source tree that it is started from.
    """

    service: str = ""
    endpoint: str = ""
    others: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    checkout: Path = ROOT


def interpreter(checkout: Path) -> str:
    """Return the Python of a checkout: of this one, the running one."""
    return sys.executable if checkout == ROOT else str(checkout / ".venv/bin/python")


def daemon_command(checkout: Path, file: Path, runtime_directory: Path) -> list[str]:
    """Return the command for the daemon of a checkout, to be run in that directory."""
    # In old checkouts the daemon is a module, and the package itself starts it.
    package = (checkout / "localechod/daemon").is_dir()
    module = "localechod.daemon" if package else "localechod"
    own = ("-c", str(file), "--runtime-dir", str(runtime_directory))
    return [interpreter(checkout), "-m", module, *own]


def build() -> None:
    """Compile the C servers and the load, also beside another process that does.

    Raises:
        FileNotFoundError: there is no C compiler.
        subprocess.CalledProcessError: the compiler failed.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    # Nobody can execute a program that is being written (ETXTBSY): it gets its name when whole.
    with tempfile.TemporaryDirectory(dir=BUILD) as unfinished:
        for source in REFERENCE.glob("*.c"):
            program = Path(unfinished, source.stem)
            flags = ("-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program))
            subprocess.run(["cc", *flags, str(source)], check=True)
            program.replace(BUILD / source.stem)


@contextmanager
def socket_directory() -> Iterator[Path]:
    """Make a directory for sockets: with a short path, for sun_path, and writable by all users.

    It is sticky, as /tmp is: else root would not use it.
    """
    with tempfile.TemporaryDirectory(prefix="le-bench-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o1777)
        yield directory


def raise_descriptor_limit() -> int:
    """Raise the soft limit on descriptors to the hard limit, also for children; return it."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


# Without the compiled extension.
PURE = "localechod, pure Python"

# Common programs that start a process for each client.
FORKING = ("socat PIPE", "ncat cat", "s6-ipcserver cat")

# Common servers in C that parse each request, and build a reply that is not the request; a message
# costs them more than an echo.
PARSING = ("redis-server, ECHO", "nginx, HTTP GET")

_TEXT = "x" * 64
_HTTP_REPLY = (
    "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    f"Content-Type: text/plain\r\nContent-Length: 64\r\nConnection: keep-alive\r\n\r\n{_TEXT}"
)

# The requests and replies of the servers that parse. Each carries 64 bytes of text, but for the
# request to nginx: nginx alone cannot echo, and its `return` sends a fixed text. Its stream module
# has a `return` too, which closes the connection without reading the request: that is less than an
# echo, hence it is not compared.
EXCHANGES = {
    "redis-server, ECHO": (f"ECHO {_TEXT}\r\n", f"$64\r\n{_TEXT}\r\n"),
    "nginx, HTTP GET": ("GET / HTTP/1.1\r\nHost: bench\r\n\r\n", _HTTP_REPLY),
}

# Commands of the other servers; "{path}" is that of the socket. Those not installed are left out.
COMMANDS = {
    "C epoll": [f"{BUILD}/echo_connections", "{type}", "{path}"],
    "C recvfrom": [f"{BUILD}/echo_datagrams", "{path}"],
    "C recvmmsg": [f"{BUILD}/echo_datagrams", "{path}", "batch"],
    "asyncio Protocol": [sys.executable, "-m", "benchmarks.rival", "{path}"],
    "socat PIPE": ["socat", "UNIX-LISTEN:{path},fork,backlog=1024", "PIPE"],
    "ncat cat": ["ncat", "-l", "-k", "-m", "2000", "-U", "{path}", "--exec", "/bin/cat"],
    "s6-ipcserver cat": ["s6-ipcserver", "-c", "2000", "{path}", "cat"],
    "redis-server, ECHO": [
        *("redis-server", "--port", "0", "--unixsocket", "{path}", "--tcp-backlog", "1024"),
        *("--save", "", "--appendonly", "no", "--loglevel", "warning"),
    ],
    "nginx, HTTP GET": ["nginx", "-c", "{path}.conf"],
}


def is_installed(name: str) -> bool:
    """Return whether a server is installed; PURE only counts if localechod has its extension.

    Without the extension, localechod itself is in pure Python.
    """
    if name == PURE:
        return any((ROOT / "localechod/echo").glob("*.so"))
    return name not in COMMANDS or shutil.which(COMMANDS[name][0]) is not None


@contextmanager
def running(
    name: str, kind: str, directory: Path, cores: set[int], settings: Settings | None = None
) -> Iterator[Server]:
    """Run a server inside the block.

    Args:
        name: a key of COMMANDS, or any name that begins with "localechod".
        kind: the type of the socket: stream, seqpacket or datagram.
        directory: for its socket.
        cores: the cores that it may use.
        settings: of localechod; by default, none.

    Raises:
        TimeoutError: the server did not listen in time.
        SystemExit: the server exited; the reason is its output.
    """
    path = directory / f"{name.replace(' ', '-')}-{kind}.sock"
    settings = settings or Settings()
    if name.startswith("localechod"):
        command = _localechod(path, kind, settings)
    else:
        command = [part.format(path=path, type=kind) for part in COMMANDS[name]]
        if command[0] == "nginx":
            shipped = (REFERENCE / "nginx.conf").read_text()
            Path(f"{path}.conf").write_text(shipped.replace("PATH", str(path)))
    log_file = path.with_suffix(".log")
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=settings.checkout,
            env={**os.environ, **settings.environment},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - no threads here
            process_group=0,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(path, kind, process, log_file)
        yield Server(name, str(path), process.pid, name in FORKING, _load_options(name))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_TIMEOUT)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its children
        path.unlink(missing_ok=True)


def _load_options(name: str) -> tuple[str, ...]:
    """Return the options of the load for a server; for one that echoes, none."""
    if name not in EXCHANGES:
        return ()
    request, reply = EXCHANGES[name]
    return "-m", request, "-r", f"{len(reply)}"


def _localechod(path: Path, kind: str, settings: Settings) -> list[str]:
    file = path.with_suffix(".toml")
    # Root's daemon runs as an account that every machine has.
    identity = 'user = "nobody"\ngroup = "nogroup"\n' if os.geteuid() == 0 else ""
    many = "" if kind == "datagram" else "max_connections = 20000\n"
    file.write_text(
        f'version = 1\n[service]\n{identity}{settings.service}\n[control]\nadmins = ["root"]\n'
        f"[defaults]\nmax_connections_per_user = 0\n{settings.others}"
        f'[endpoints.echo]\ntype = "{kind}"\npath = "{path}"\nmode = "0666"\nprefix = ""\n'
        f"{many}{settings.endpoint}\n"
    )
    return daemon_command(settings.checkout, file, path.with_suffix(".run"))


def _wait_for(path: Path, kind: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while True:
        with socket.socket(socket.AF_UNIX, TYPES[kind]) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                if process.poll() is not None:
                    sys.exit(log_file.read_text(errors="replace").strip())
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no server listens at {path}") from None
            else:
                return
        time.sleep(0.02)
