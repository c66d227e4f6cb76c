"""A minimal service manager: it starts daemons and reads their notifications, sd_notify(3)."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import ROOT, Server, daemon_command
from localechod import config

# Seconds within which a daemon has to become ready, and to exit.
_TIMEOUT = 20.0


def cache_bytecode(directory: Path) -> None:
    """Let all children share compiled bytecode in a directory, as if they were installed.

    Not beside the sources: a measurement leaves no files there.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(directory)


@dataclass(frozen=True, slots=True)
class RunningDaemon:
    """A daemon that is ready.

    Attributes:
        server: its endpoint `stream`.
        seconds: from the fork to READY=1.
        notify: the socket for its notifications.
    """

    server: Server
    seconds: float
    notify: socket.socket


def read_notifications(daemons: Sequence[RunningDaemon], seconds: float) -> bool:
    """Read the notifications of daemons for so many seconds; return whether there were any.

    Unread notifications would fill the queue, and then the daemon would block.
    """
    deadline, received = time.monotonic() + seconds, False
    while (left := deadline - time.monotonic()) > 0:
        for notify in select.select([each.notify for each in daemons], [], [], left)[0]:
            notify.recv(65536)  # the kernel closes descriptors that came with it
            received = True
    return received


@contextmanager
def running_daemon(
    directory: Path,
    name: str,
    *,
    core: set[int],
    watchdog: float | None = None,
    checkout: Path = ROOT,
) -> Iterator[RunningDaemon]:
    """Run a daemon with the shipped configuration inside the block.

    Args:
        directory: for its files; the daemon may run as another user.
        name: the prefix of its files.
        core: the core that it may use.
        watchdog: the interval in seconds of the watchdog that it has to notify.
        checkout: the source tree that it is started from.

    Raises:
        SystemExit: the daemon exited, or was not ready in time; the reason is its last output.
    """
    where = directory / name
    file = where.with_suffix(".toml")
    file.write_text(_shipped(), encoding="utf-8")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(f"\0localechod-benchmark-{os.getpid()}-{name}")
    environment = os.environ | {"NOTIFY_SOCKET": f"@{notify.getsockname()[1:].decode()}"}
    if watchdog is not None:
        environment["WATCHDOG_USEC"] = f"{watchdog * 1e6:.0f}"
    log_file = where.with_suffix(".log")
    with log_file.open("wb") as log, notify:
        started = time.perf_counter()
        process = subprocess.Popen(
            daemon_command(checkout, file, where),
            cwd=checkout,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, core),  # noqa: PLW1509 - no threads here
            stderr=log,
        )
        try:
            _await_ready(process, notify, log_file)
            seconds = time.perf_counter() - started
            server = Server(name, f"{where}/stream.sock", process.pid)
            yield RunningDaemon(server, seconds, notify)
        finally:
            process.kill()  # not SIGTERM: an orderly stop notifies, and its socket is read no more
            process.wait(_TIMEOUT)


def _shipped() -> str:
    """Return the shipped configuration; for root, with an account that every machine has.

    All connections are of one user, so there is no limit for each.
    """
    text = config.default_text()
    text = text.replace("# max_connections_per_user = 256 #", "max_connections_per_user = 0 #")
    if os.geteuid() != 0:
        return text
    return text.replace('"localecho"', '"nobody"', 1).replace(
        'group = "localecho"', 'group = "nogroup"', 1
    ).replace(', "@localecho"', "", 1)  # fmt: skip


def _await_ready(process: subprocess.Popen[bytes], notify: socket.socket, log_file: Path) -> None:
    exited = os.pidfd_open(process.pid)
    try:
        while True:
            readable, *_ = select.select([notify.fileno(), exited], [], [], _TIMEOUT)
            if notify.fileno() not in readable:
                process.kill()
                log = log_file.read_text(errors="replace").strip()
                sys.exit(log or "the daemon did not become ready, and printed nothing")
            if b"READY=1" in notify.recv(65536).split(b"\n"):
                return
    finally:
        os.close(exited)
