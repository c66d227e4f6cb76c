"""The daemon that is attacked, and what is seen of it from outside."""

import math
import os
import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.attacks.alice import UID
from tests.attacks.streams import LONGEST
from tests.integration.harness import Daemon, cpu_seconds, resident

# Endpoints for everyone: quiet ones for alice, and those that are attacked.
ENDPOINTS = f"""
[defaults]
mode = "0666"
[endpoints.quiet]
type = "stream"
[endpoints.quiet-sequence]
type = "seqpacket"
[endpoints.quiet-datagram]
type = "datagram"
[endpoints.stream]
type = "stream"
[endpoints.sequence]
type = "seqpacket"
[endpoints.datagram]
type = "datagram"
[endpoints.large]
type = "stream"
max_message = {LONGEST}
[endpoints.logged]
type = "stream"
log_messages = true
[endpoints.passing]
type = "stream"
echo_descriptors = true
[endpoints.abstract]
type = "datagram"
path = "@localechod-%s"
"""

_PULSE = 0.5  # seconds between two notifications of the watchdog
_SAMPLE = 0.1  # seconds


@contextmanager
def started(launcher: list[str]) -> Iterator[Daemon]:
    """Run a daemon with these endpoints that notifies a watchdog.

    Args:
        launcher: a command that runs the daemon's.
    """
    directory = Path(tempfile.mkdtemp(prefix="attack-", dir="/tmp"))
    directory.chmod(0o755)
    own = directory / "alice"
    own.mkdir()
    own.chmod(0o711)
    os.chown(own, UID, UID)
    daemon = Daemon(directory)
    daemon.launcher = launcher
    daemon.environment["WATCHDOG_USEC"] = str(int(_PULSE * 2e6))
    daemon.configure(ENDPOINTS % directory.name)
    try:
        yield daemon.start()
    finally:
        daemon.kill()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(slots=True)
class Seen:
    """What was seen in a span of time.

    Attributes:
        memory: resident bytes at its end, and the most.
        lines: lines of the log in all, and the most in a second.
        pause: the longest time between two notifications of the watchdog, in seconds.
        processor: the share of a processor that the daemon had.
    """

    memory: int = 0
    most_memory: int = 0
    lines: int = 0
    most_lines: int = 0
    pause: float = 0.0
    processor: float = 0.0


@dataclass(slots=True)
class Observer:
    """Looks at a daemon ten times a second."""

    daemon: Daemon
    notified: socket.socket
    period: float = _PULSE

    def observe(self, seconds: float = math.inf, end: Callable[[], bool] = lambda: False) -> Seen:
        """Look for so many seconds, or until an end."""
        seen, lines = Seen(), Counter[int]()
        began = pulse = now = time.monotonic()
        used, told = cpu_seconds(self.daemon.pid), self._lines()
        while now < began + seconds and not end():
            for at in self._pulses(now + _SAMPLE):
                seen.pause, pulse = max(seen.pause, at - pulse), at
            now = time.monotonic()
            more = self._lines() - told - seen.lines
            seen.lines += more
            lines[int(now)] += more
            seen.memory = resident(self.daemon.pid)
            seen.most_memory = max(seen.memory, seen.most_memory)
        seen.pause = max(seen.pause, now - pulse)
        seen.most_lines = max(lines.values())
        seen.processor = (cpu_seconds(self.daemon.pid) - used) / (now - began)
        return seen

    def _pulses(self, until: float) -> Iterator[float]:
        """Read all notifications, so that the daemon never waits, and return the watchdog's."""
        while (left := until - time.monotonic()) > 0:
            self.notified.settimeout(left)
            with suppress(TimeoutError):
                if b"WATCHDOG=1" in self.notified.recv(4096):
                    yield time.monotonic()

    def _lines(self) -> int:
        return self.daemon.log.read_bytes().count(b"\n")
