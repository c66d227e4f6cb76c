"""Attacks on a daemon while alice asks it, and what that costs her and the daemon."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.attacks.alice import UID
from tests.attacks.answers import ECHOES, STATUS, Answers, read
from tests.attacks.catalog import ATTACKS, MIB
from tests.attacks.target import Observer, Seen, started
from tests.integration.harness import CHECKOUT

# What has to hold: docs/faults.md has these figures.
SLOWER = 0.100  # seconds that alice may wait longer for an endpoint than without the attack
WAITS = 1.0  # seconds that she may wait for the status: traffic comes before control connections
LINES = 10  # lines of the log in a second
LATE = 1.0  # seconds from one notification of the watchdog to the next, beyond its period
LEFT = 32 * MIB  # bytes that the daemon may have more afterwards
BUSY = 0.5  # of a processor, for alice alone

REST = 10.0  # seconds after the end until these are looked at

# So that other programs on this machine do not make the daemon wait: sched(7), its nice value and
# that of its session ("autogroup").
_FAVOURED = ["nice", "-n", "-19", "setsid", "sh", "-c"]
_FAVOURED += ['echo -19 >/proc/self/autogroup; exec "$@"', "sh"]
_SPIN = [sys.executable, "-c", "while True: pass"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of some attacks at the same time.

    Attributes:
        before: of the daemon, while as many processes spin as will attack.
        during: of the daemon, under attack.
        after: of the daemon, after the end.
        calm: alice's requests before.
        echoes: alice's requests to endpoints from the beginning of the attack on.
        statuses: those to the control socket.
        faults: what does not hold.
    """

    before: Seen
    during: Seen
    after: Seen
    calm: Answers
    echoes: Answers
    statuses: Answers
    faults: list[str]

    def judge(self, memory: int, period: float) -> None:
        """Note what does not hold.

        Args:
            memory: bytes that the daemon may take more.
            period: seconds between two notifications of the watchdog.
        """
        slower, status = self.echoes.share(1) - self.calm.share(1), self.statuses.share(1)
        failures = [*self.echoes.failures, *self.statuses.failures]
        lines = max(self.during.most_lines, self.after.most_lines)
        pause = max(self.during.pause, self.after.pause)
        for holds, fault in (
            (slower < SLOWER, f"alice waits {slower * 1000:.0f} ms longer"),
            (status < WAITS, f"alice waits {status * 1000:.0f} ms for the status"),
            (not failures, f"{len(failures)} wrong for alice: {failures[:1]}"),
            (self.during.most_memory - self.before.memory < memory, "memory"),
            (self.after.memory - self.before.memory < LEFT, "memory afterwards"),
            (self.after.processor < BUSY, f"{self.after.processor:.0%} of a processor afterwards"),
            (lines <= LINES, f"{lines} log lines in a second"),
            (pause < period + LATE, f"the watchdog is notified after {pause:.1f} s"),
        ):
            if not holds:
                self.faults.append(fault)


def attempt(names: Sequence[str], connections: int, seconds: float, rest: float = REST) -> Trial:
    """Start a daemon, and attack it.

    The daemon has one processor. All others share another, on which alice never waits for the
    attackers; so she waits for the daemon alone.

    Args:
        names: attacks of the catalog.
        connections: how many each of them has.
        seconds: how long.
        rest: seconds to look at the daemon afterwards.
    """
    theirs = _pinned(-1)
    calm = min(seconds, 5.0)
    with ExitStack() as stack:

        def run(*argv: str) -> subprocess.Popen[bytes]:
            process = stack.enter_context(subprocess.Popen([*theirs, *argv], cwd=CHECKOUT))
            stack.callback(process.kill)
            return process

        daemon = stack.enter_context(started([*_FAVOURED, *_pinned(0)]))
        notified = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notified.bind(daemon.notified)
        observer = Observer(daemon, notified)
        results = {what: daemon.directory / f"result-{what}" for what in ("endpoints", STATUS)}
        alices = [
            run(*_module("alice", what, daemon.runtime, result, UID))
            for what, result in results.items()
        ]
        observer.observe(1)
        spinning = [run(*_SPIN) for _ in range(sum(ATTACKS[name].users for name in names))]
        began = time.monotonic()
        before = observer.observe(calm)
        for process in spinning:
            process.kill()
        attacked = time.monotonic()
        attackers = [
            run(*_module("mallory", name, daemon.runtime, connections, seconds)) for name in names
        ]
        during = observer.observe(end=lambda: all(p.poll() is not None for p in attackers))
        ends = [process.returncode for process in attackers]
        after = observer.observe(rest)
        for alice in alices:
            alice.terminate()
            alice.wait()
        rows = [row for result in results.values() for row in read(result.read_text("utf-8"))]
    trial = Trial(
        before,
        during,
        after,
        calm=Answers.of(rows, {*ECHOES, STATUS}, began, attacked),
        echoes=Answers.of(rows, ECHOES, attacked),
        statuses=Answers.of(rows, {STATUS}, attacked),
        faults=[f"{name} ended with {end}" for name, end in zip(names, ends, strict=True) if end],
    )
    trial.judge(max(ATTACKS[name].memory for name in names), observer.period)
    return trial


def _pinned(processor: int) -> list[str]:
    """Return a command that runs another on one processor of those that this process has."""
    return ["taskset", "--cpu-list", str(sorted(os.sched_getaffinity(0))[processor])]


def _module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"tests.attacks.{name}", *map(str, arguments)]
