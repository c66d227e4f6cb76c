"""explain and sockets where a real systemd is: units of processes, and who listens for whom."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.conftest import RUNTIME, SERVICE, SOCKET
from tests.system.machine import Machine

pytestmark = pytest.mark.xdist_group("machine")

LAZY = "/run/lazy.sock"
UNITS = {
    "lazy.socket": f"[Socket]\nListenStream={LAZY}\nSocketMode=0600\nRemoveOnStop=yes\n",
    "lazy.service": "[Service]\nExecStart=/bin/sleep infinity\n",
}


def told(machine: Machine, *words: str, user: str = "root") -> Any:
    """Return what a command prints with --json, whatever its exit status."""
    return json.loads(machine.process("localechoctl", *words, "--json", user=user).stdout)


def detail(report: dict[str, Any], name: str) -> str:
    """Return what a check found."""
    found: str = next(each["detail"] for each in report["checks"] if each["name"] == name)
    return found


@pytest.fixture
def lazy(installed: Machine) -> Iterator[Machine]:
    """The machine with a socket unit whose service has not been started."""
    for name, text in UNITS.items():
        installed.write(f"/run/systemd/system/{name}", text)
    installed.run("systemctl", "daemon-reload")
    installed.run("systemctl", "start", "lazy.socket")
    yield installed
    installed.run("systemctl", "stop", *UNITS)
    installed.run("rm", *(f"/run/systemd/system/{name}" for name in UNITS))
    installed.run("systemctl", "daemon-reload")


def test_our_own_endpoint_is_held_by_our_own_unit(service: Machine) -> None:
    report = told(service, "explain", "stream")
    assert (report["errno"], report["path"]) == (0, f"{RUNTIME}/stream.sock")
    assert {each["unit"] for each in report["holders"]} >= {SERVICE}
    assert detail(report, "activation") == (
        f"held by pid 1 in the file descriptor store of {SERVICE}; {SOCKET} is not active"
    )
    (row,) = told(service, "sockets", f"{RUNTIME}/stream.sock", "--listening")
    assert {each["unit"] for each in row["holders"]} >= {SERVICE}
    assert told(service, "explain", f"{RUNTIME}/stream.sock", user="nobody")["errno"] == 0


def test_a_stopped_service_is_explained_by_its_configuration(installed: Machine) -> None:
    reports = told(installed, "explain")
    assert f"{RUNTIME}/control.sock" in [each["path"] for each in reports]
    assert {each["errno"] for each in reports} == {2}


def test_who_listens_for_a_service_that_is_not_started_is_named(lazy: Machine) -> None:
    report = told(lazy, "explain", LAZY)
    assert report["errno"] == 0
    assert [each["pid"] for each in report["holders"]] == [1]
    assert detail(report, "activation") == "lazy.socket listens for lazy.service"
    assert told(lazy, "explain", LAZY, "--as", "nobody")["errno"] == 13


def test_a_socket_unit_that_is_stopped_is_the_remedy(lazy: Machine) -> None:
    lazy.run("systemctl", "stop", "lazy.socket")  # and systemd forgets it, until it is named
    report = told(lazy, "explain", LAZY)
    assert report["errno"] == 2
    assert report["remedy"] == "start lazy.socket, which listens there"
    assert report["commands"] == ["systemctl start lazy.socket"]


@pytest.fixture
def carol(lazy: Machine) -> Iterator[Machine]:
    """The machine with a service of the user carol, and a socket for the group team."""
    lazy.run("groupadd", "team")
    lazy.run("useradd", "carol")
    lazy.run("chgrp", "team", LAZY)
    lazy.run("chmod", "660", LAZY)
    start = ("systemd-run", "--quiet", "--unit=carol.service", "--property=User=carol")
    lazy.run(*start, "sleep", "infinity")
    yield lazy
    lazy.run("systemctl", "stop", "carol.service")
    lazy.run("userdel", "carol")
    lazy.run("groupdel", "team")


def test_a_service_gets_a_group_by_its_account_and_a_restart(carol: Machine) -> None:
    def explained() -> dict[str, Any]:
        pid = carol.show("carol.service", "MainPID")
        report: dict[str, Any] = told(carol, "explain", LAZY, "--pid", pid, "--filters")
        return report

    first = explained()
    added, restarted = first["commands"]
    assert (added, restarted) == ("usermod -aG team carol", "systemctl restart carol.service")
    carol.run("bash", "-c", added)
    second = explained()
    assert second["commands"] == [restarted]
    assert "the account database has carol in group team already" in second["remedy"]
    carol.run("bash", "-c", restarted)
    assert explained()["errno"] == 0


def test_a_permission_set_by_hand_is_set_for_good_in_the_socket_unit(carol: Machine) -> None:
    carol.run("chgrp", "root", LAZY)
    report = told(carol, "explain", LAZY, "--as", "carol")
    assert report["commands"] == [f"setfacl -m u:carol:w {LAZY}"]
    (caveat,) = (each for each in report["caveats"] if "next bind" in each)
    assert caveat.endswith("for good: SocketMode= and SocketGroup= of lazy.socket")


def test_systemds_own_socket_is_roots_alone(installed: Machine) -> None:
    assert told(installed, "explain", "/run/systemd/private")["errno"] == 0
    report = told(installed, "explain", "/run/systemd/private", "--as", "nobody")
    assert report["errno"] == 13


CALLER = f"""
import pathlib, socket, time
try:
    number = socket.socket(socket.AF_UNIX).connect_ex("{RUNTIME}/stream.sock")
except OSError as error:
    number = error.errno
pathlib.Path("/run/caller.errno").write_text(str(number))
time.sleep(1e6)
"""


@pytest.fixture
def caller(service: Machine) -> Iterator[Machine]:
    """The machine with a client that runs as a unit, caller.service."""
    service.write("/run/caller.py", CALLER)
    yield service
    service.run("systemctl", "stop", "caller.service")
    service.run("rm", "-rf", "/run/systemd/system/caller.service", "/run/caller.py")
    service.run("rm", "-rf", "/etc/systemd/system/caller.service.d")
    service.run("systemctl", "daemon-reload")


def result_of(machine: Machine) -> int:
    """Return what the caller got."""
    machine.run("sh", "-c", "until [ -s /run/caller.errno ]; do sleep 0.1; done")
    return int(machine.run("cat", "/run/caller.errno"))


@pytest.mark.parametrize(
    ("settings", "number", "remedy"),
    [
        ("RestrictAddressFamilies=AF_INET6", 97, "RestrictAddressFamilies=AF_UNIX"),
        ("RestrictAddressFamilies=~AF_UNIX", 97, "RestrictAddressFamilies=AF_UNIX"),
        ("SystemCallFilter=~connect\nSystemCallErrorNumber=EPERM", 1, "SystemCallFilter=connect"),
        (
            "SystemCallFilter=~@network-io\nSystemCallErrorNumber=EACCES",
            13,
            "SystemCallFilter=socket connect",
        ),
        ("SystemCallFilter=@system-service\nRestrictAddressFamilies=AF_UNIX", 0, ""),
    ],
)
def test_the_filters_of_a_unit_are_read_and_its_setting_is_the_remedy(
    caller: Machine, settings: str, number: int, remedy: str
) -> None:
    unit = f"[Service]\nExecStart=/usr/bin/python3 /run/caller.py\n{settings}\n"
    caller.write("/run/systemd/system/caller.service", unit)
    caller.run("systemctl", "daemon-reload")
    caller.run("rm", "-f", "/run/caller.errno")
    caller.run("systemctl", "restart", "caller.service")
    assert result_of(caller) == number
    pid = caller.run("systemctl", "show", "--property=MainPID", "--value", "caller.service").strip()
    words = ("explain", f"{RUNTIME}/stream.sock", "--pid", pid)
    assert told(caller, *words)["errno"] is None
    report = told(caller, *words, "--filters")
    assert report["errno"] == number
    assert remedy in (report["remedy"] or "")
    caller.run("rm", "-f", "/run/caller.errno")
    for command in report["commands"] or ["systemctl restart caller.service"]:
        caller.run("sh", "-c", command)
    assert result_of(caller) == 0
