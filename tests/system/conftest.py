"""A booted machine for the tests in this directory, and localechod installed and running in it."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.system.machine import CHECKOUT, Machine, booted, eventually, missing

SERVICE = "localechod.service"
SOCKET = "localechod.socket"
SETTINGS = "/etc/localechod/localechod.toml"
RUNTIME = "/run/localechod"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with these tests: one worker does them all, and the others share the rest."""
    here = Path(__file__).parent
    items.sort(key=lambda item: here not in item.path.parents)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A machine that has not seen localechod, only its checkout."""
    reason = missing()
    if reason:
        pytest.skip(f"no machine to boot: {reason}")
    directory = Path(tempfile.mkdtemp(prefix="localechod-machine-"))
    # ./dev makes .venv again for another Python, and the machine has no network.
    python = {"PYTHON": str((CHECKOUT / ".venv/bin/python").resolve())}
    with booted(directory, environment=python) as machine:
        yield machine
    shutil.rmtree(directory)


@cache
def _environment_is_current() -> bool:
    python, stamp = CHECKOUT / ".venv/bin/python", CHECKOUT / ".venv/made-run"
    if not stamp.exists():
        return False
    digest = [str(python), str(CHECKOUT / "tools/digest.py"), "environment"]
    return (
        stamp.read_text()
        == subprocess.run(digest, stdout=subprocess.PIPE, text=True, check=True).stdout
    )


def needs_environment() -> None:
    """Skip the test where ./dev would have to fetch something: the machine has no network."""
    if not _environment_is_current():
        pytest.skip("no current .venv in this checkout: `./dev run` or `./dev test` makes it")


def install(machine: Machine) -> str:
    """Run `./dev install` with the umask that careful administrators have; return what it says."""
    needs_environment()
    return machine.run("sh", "-c", f"umask 077; {CHECKOUT}/dev install 2>&1")


@pytest.fixture
def installed(machine: Machine) -> Machine:
    """The machine with the service installed."""
    if "/opt/localechod/installed" not in machine.written():
        install(machine)
    return machine


@pytest.fixture
def service(installed: Machine) -> Iterator[Machine]:
    """The machine with the service running on the shipped configuration."""
    installed.run("systemctl", "start", SERVICE)
    yield installed
    installed.run("rm", "-rf", f"/run/systemd/system/{SERVICE}.d")
    installed.run("install", "-m", "644", f"{CHECKOUT}/etc/localechod.toml", SETTINGS)
    installed.run("systemctl", "daemon-reload")
    installed.run("systemctl", "stop", SERVICE)
    installed.run("systemctl", "reset-failed", SERVICE, check=False)


def override(machine: Machine, *lines: str) -> None:
    """Give the unit a drop-in with these lines of [Service]; it goes after the test."""
    text = "\n".join(["[Service]", *lines, ""])
    machine.write(f"/run/systemd/system/{SERVICE}.d/test.conf", text)
    machine.run("systemctl", "daemon-reload")


def configure(machine: Machine, old: str, new: str) -> None:
    """Replace a line of the service's configuration; the shipped one is back after the test."""
    text = machine.run("cat", SETTINGS)
    assert text.count(old) == 1, f"{old!r} is not once in the shipped configuration"
    machine.write(SETTINGS, text.replace(old, new) + "\n")


def say(machine: Machine, *arguments: str, user: str = "root") -> str:
    """Run localechoctl on the service and return what it prints."""
    return machine.run("localechoctl", *arguments, user=user)


def settled(machine: Machine, state: str) -> None:
    """Wait until the unit is in a state."""
    eventually(lambda: machine.show(SERVICE, "ActiveState") == state, 20, f"the unit to be {state}")
