"""All attacks at once on the service of a booted machine, with its shipped unit."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.attacks.alice import UID
from tests.attacks.answers import ECHOES, STATUS, Answer, Answers, read
from tests.attacks.catalog import ATTACKS
from tests.attacks.target import ENDPOINTS
from tests.system.conftest import RUNTIME, SERVICE, SETTINGS
from tests.system.machine import CHECKOUT, Machine, eventually

PYTHON = f"{CHECKOUT}/.venv/bin/python"
# What alice asks for, and as which user.
_ALICE = {"endpoints": ("endpoints", UID), "status": (STATUS, UID), "root": (STATUS, 0)}
_KINDS = {*ECHOES, STATUS}
_PERIOD = 15.0  # seconds: half of WatchdogSec=


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was seen.

    Attributes:
        pids: of the service, before and after.
        restarts: how often systemd has started it again.
        memory: its resident bytes before, at most, and after.
        lines: of its log, in all and in the worst second.
        pause: seconds between two notifications of the watchdog, the longest.
        period: seconds after which the service means to notify it again.
        calm: requests while as many processes spin as will attack: of alice to endpoints, of hers
            for the status, and of root for the status ("endpoints", "status", "root").
        during: the same from the beginning of the attack on.
    """

    pids: tuple[str, str]
    restarts: str
    memory: tuple[int, int, int]
    lines: tuple[int, int]
    pause: float
    period: float
    calm: dict[str, Answers]
    during: dict[str, Answers]


def attacked(
    machine: Machine, names: Sequence[str], connections: int, seconds: float, rest: float
) -> Outcome:
    """Attack the service, which has to be installed.

    Beforehand as many processes spin as will attack. All have the same two processors or more, so
    that this shows how much of alice's wait is for a processor.

    Args:
        machine: it runs there.
        names: attacks of the catalog.
        connections: of each of them.
        seconds: how long.
        rest: seconds until the memory is looked at again.
    """
    machine.write(SETTINGS, f"version = 1\n{ENDPOINTS % 'run'}")
    machine.run("install", "-d", "-m", "711", "-o", str(UID), "/run/alice")
    machine.run("systemctl", "restart", SERVICE)
    pid = machine.show(SERVICE, "MainPID")
    began = time.time()
    before = _resident(machine, pid)
    for who, (what, uid) in _ALICE.items():
        asked = (what, RUNTIME, f"/run/result-{who}", uid)
        _started(machine, f"alice-{who}", "-m", "tests.attacks.alice", *asked)
    spinning = range(sum(ATTACKS[name].users for name in names))
    for number in spinning:
        _started(machine, f"spin-{number}", "-c", "while True: pass")
    calm = time.monotonic()
    time.sleep(min(seconds, 10.0))
    machine.run("systemctl", "stop", "spin-*")
    attack = time.monotonic()
    for name in names:
        program = ("-m", "tests.attacks.mallory", name, RUNTIME, connections, seconds)
        _started(machine, f"attack-{name}", *program)
    memory, pulses = [before], {float(machine.show(SERVICE, "WatchdogTimestampMonotonic"))}
    end = math.inf
    while time.monotonic() < end + rest:
        memory.append(_resident(machine, pid))
        pulses.add(float(machine.show(SERVICE, "WatchdogTimestampMonotonic")))
        time.sleep(1)
        running = machine.run("systemctl", "list-units", "--plain", "--no-legend", "attack-*")
        if end == math.inf and not running:
            end = time.monotonic()
    machine.run("systemctl", "stop", "alice-*")
    rows = {who: _result(machine, who) for who in _ALICE}
    at = sorted(pulses)
    logged = machine.run(
        *("journalctl", "--no-pager", "--output=short-unix", "--unit", SERVICE),
        f"--since=@{began:.0f}",
    )
    each = Counter(line.partition(".")[0] for line in logged.splitlines())
    return Outcome(
        pids=(pid, machine.show(SERVICE, "MainPID")),
        restarts=machine.show(SERVICE, "NRestarts"),
        memory=(before, max(memory), memory[-1]),
        lines=(each.total(), max(each.values(), default=0)),
        pause=max((b - a for a, b in pairwise(at)), default=0) / 1e6,
        period=_PERIOD,
        calm={who: Answers.of(rows[who], _KINDS, calm, attack) for who in rows},
        during={who: Answers.of(rows[who], _KINDS, attack) for who in rows},
    )


def _result(machine: Machine, who: str) -> list[Answer]:
    name = f"/run/result-{who}"
    return read(eventually(lambda: machine.run("cat", name, check=False), 60, "alice's result"))


def _started(machine: Machine, unit: str, *arguments: object) -> None:
    machine.run(
        *("systemd-run", "--quiet", "--collect", f"--unit={unit}"),
        *(f"--working-directory={CHECKOUT}", "--property=LimitNOFILE=20000"),
        *(PYTHON, *map(str, arguments)),
    )


def _resident(machine: Machine, pid: str) -> int:
    text = machine.run("cat", f"/proc/{pid}/status")
    (line,) = (line for line in text.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
