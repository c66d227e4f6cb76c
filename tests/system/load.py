"""clients.py at work in the machine, beside a test that restarts, stops or kills the service."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.system.conftest import RUNTIME
from tests.system.machine import Machine, eventually

_CLIENTS = Path(__file__).with_name("clients.py")
_UNIT = "localechod-clients"


@contextmanager
def clients(
    machine: Machine,
    count: int,
    *crashes: str,
    stream: str = f"{RUNTIME}/stream.sock",
    python: str = "/opt/localechod/bin/python",
    directory: str = "/run",
) -> Iterator[dict[str, Any]]:
    """Have clients at work; what they saw is in the value when the block is over.

    Args:
        machine: or a user's session in it.
        count: how many there are all the time.
        crashes: whether a line may get no reply.
        stream: the endpoint's path.
        python: what they run on.
        directory: where their program and its result may be written.
    """
    program, result = f"{directory}/{_UNIT}.py", f"{directory}/{_UNIT}.json"
    machine.write(program, _CLIENTS.read_text())
    machine.run("rm", "-f", result)
    machine.run(
        *("systemd-run", "--quiet", "--collect", f"--unit={_UNIT}", python, "-I"),
        *(program, stream, str(count), result, *crashes),
    )
    seen: dict[str, Any] = {}

    def told() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(machine.run("cat", result, check=False) or "{}")
        return found

    try:
        eventually(
            lambda: machine.run("cat", result, check=False), 30, "the clients to be answered"
        )
        yield seen
        machine.run("systemctl", "kill", "--signal=USR1", _UNIT)
        seen.update(eventually(told, 60, "the clients to end"))
    finally:
        machine.run("systemctl", "stop", _UNIT, check=False)
