"""A service manager in miniature: it starts a daemon and hears when that is ready, sd_notify(3)."""

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

from benchmarks.servers import ROOT, Server
from localechod import config

# Seconds that a daemon has to become ready, and to end.
_PATIENCE = 20.0


def keep_bytecode(directory: Path) -> None:
    """Let what is started find compiled what an earlier start has compiled, as when installed.

    Not beside the sources: a measurement leaves nothing behind there.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(directory)


@dataclass(frozen=True, slots=True)
class Started:
    """A daemon that is ready.

    Attributes:
        server: its endpoint `stream`.
        seconds: from the fork to READY=1.
        notify: where it speaks to the manager.
    """

    server: Server
    seconds: float
    notify: socket.socket


def hear(daemons: Sequence[Started], seconds: float) -> bool:
    """Hear daemons for so long; return whether any of them has said anything.

    What nobody reads would fill the queue, and then the daemon would wait.
    """
    deadline, heard = time.monotonic() + seconds, False
    while (left := deadline - time.monotonic()) > 0:
        for notify in select.select([it.notify for it in daemons], [], [], left)[0]:
            notify.recv(65536)  # descriptors that came along are closed by the kernel
            heard = True
    return heard


@contextmanager
def started(
    directory: Path,
    name: str,
    *,
    core: set[int],
    watchdog: float | None = None,
    checkout: Path = ROOT,
) -> Iterator[Started]:
    """Have a daemon run on the shipped configuration for as long as the block.

    Args:
        directory: for all that it needs; it may be another account's daemon.
        name: of what it needs there.
        core: that it may use.
        watchdog: seconds within which it has to say that it lives.
        checkout: of which it is.

    Raises:
        SystemExit: it ended instead of becoming ready; with its last words.
    """
    where = directory / name
    file = where.with_suffix(".toml")
    file.write_text(_shipped(), encoding="utf-8")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(f"\0localechod-benchmark-{os.getpid()}-{name}")
    environment = os.environ | {"NOTIFY_SOCKET": f"@{notify.getsockname()[1:].decode()}"}
    if watchdog is not None:
        environment["WATCHDOG_USEC"] = f"{watchdog * 1e6:.0f}"
    command = [
        sys.executable,
        "-m",
        "localechod.daemon",
        "-c",
        str(file),
        "--runtime-dir",
        str(where),
    ]
    words = where.with_suffix(".log")
    with words.open("wb") as log, notify:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=checkout,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, core),  # noqa: PLW1509 - no threads here
            stderr=log,
        )
        try:
            _await_ready(process, notify, words)
            seconds = time.perf_counter() - begun
            yield Started(Server(name, f"{where}/stream.sock", process.pid), seconds, notify)
        finally:
            process.kill()  # a kind end would be told at length, and nobody listens any more
            process.wait(_PATIENCE)


def _shipped() -> str:
    """Return the shipped configuration, for root with an account that every machine has."""
    text = config.default_text()
    if os.geteuid() != 0:
        return text
    return text.replace('"localecho"', '"nobody"', 1).replace(
        'group = "localecho"', 'group = "nogroup"', 1
    ).replace(', "@localecho"', "", 1)  # fmt: skip


def _await_ready(process: subprocess.Popen[bytes], notify: socket.socket, words: Path) -> None:
    ended = os.pidfd_open(process.pid)
    try:
        while True:
            heard, *_ = select.select([notify.fileno(), ended], [], [], _PATIENCE)
            if notify.fileno() not in heard:
                process.kill()
                sys.exit(words.read_text(errors="replace").strip() or "the daemon says nothing")
            if b"READY=1" in notify.recv(65536).split(b"\n"):
                return
    finally:
        os.close(ended)
