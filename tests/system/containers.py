"""Containers in the machine: processes in namespaces of their own, and what is said about them."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.system.conftest import RUNTIME
from tests.system.machine import Machine, eventually

STREAM = f"{RUNTIME}/stream.sock"
MOUNTED = "/run/mounted"  # the directory of the sockets, in a container
MAPPED = "--private-users=100000:65536"  # nspawn: root inside is uid 100000 outside
_BOX = "box.service"

Done = subprocess.CompletedProcess[str]


@contextmanager
def box(machine: Machine, prepare: str, *enter: str) -> Iterator[str]:
    """Have a process that stays in namespaces of its own; yield its pid, as it is outside.

    Args:
        machine: where.
        prepare: what it does first, for a shell.
        enter: the command that puts it there and executes the rest.
    """
    stay = f"{prepare} && exec sleep infinity"
    machine.run("systemd-run", "--quiet", "--collect", f"--unit={_BOX}", *enter, "sh", "-c", stay)
    try:
        pid = machine.show(_BOX, "MainPID")
        eventually(lambda: machine.run("cat", f"/proc/{pid}/comm") == "sleep", 20, "the container")
        yield pid
    finally:
        machine.run("systemctl", "stop", _BOX)


def inside(machine: Machine, pid: str, *words: str) -> Done:
    """Run a command in the mount and network namespaces of a process."""
    return machine.process("nsenter", "--target", pid, "--mount", "--net", *words)


def nspawn(machine: Machine, *words: str) -> Done:
    """Run a command in a container that has /usr and the sockets; nspawn's options come first."""
    unit = ["systemd-run", "--quiet", "--pipe", "--wait", "--property=Delegate=yes"]
    root = ["systemd-nspawn", "--quiet", "--pipe", "--directory=/", "--volatile=yes"]
    binds = [f"--bind={RUNTIME}:{MOUNTED}", "--bind-ro=/opt/localechod"]
    return machine.process(*unit, *root, *binds, *words)


def explained(machine: Machine, *words: str) -> dict[str, Any]:
    """Return what `explain` says, whatever it exits with."""
    report: dict[str, Any] = json.loads(
        machine.process("localechoctl", "explain", "--json", *words).stdout
    )
    return report


def checked(report: dict[str, Any], name: str) -> tuple[str, str]:
    """Return the result and the detail of one check."""
    found = next(each for each in report["checks"] if each["name"] == name)
    return found["result"], found["detail"]
