"""Units of processes and addresses, from what the kernel and systemctl print."""

import os
import subprocess
from pathlib import Path

import pytest

from localechod.explain import units
from localechod.explain.units import (
    SocketUnit,
    find_socket_unit,
    parse_cgroup,
    socket_unit,
    unit_of,
)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/docker.service\n", "docker.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "x.service"),
        ("0::/system.slice/a.service/worker/1", "a.service"),
        ("0::/system.slice/_cgroup.service", "cgroup.service"),
        ("12:pids:/b.service\n1:name=systemd:/init.scope\n0::/\n", "init.scope"),
        ("12:pids:/b.service\n0::/\n", ""),
        ("0::/user.slice", ""),
        ("0::/a\\x2db.scope/\x1b[31m.service", "a\\x2db.scope"),  # not a unit name
        ("0::/a\r\x0c\u2028b/c.service\n", "c.service"),  # none of these ends a line
    ],
)
def test_the_unit_of_a_process_is_the_innermost_of_its_cgroup(text: str, unit: str) -> None:
    assert parse_cgroup(text) == unit


def test_a_process_that_has_ended_has_no_unit() -> None:
    assert unit_of(0) == ""


LISTING = """Id=docker.socket
Triggers=docker.service
Listen=/run/docker.sock (Stream)
ActiveState=active

Listen=/run/a (Stream)
Listen=@b c (Datagram)
Id=two.socket
Triggers=two.service
ActiveState=inactive
"""


@pytest.mark.parametrize(
    ("address", "unit"),
    [
        ("/run/docker.sock", SocketUnit("docker.socket", "docker.service", active=True)),
        ("@b c", SocketUnit("two.socket", "two.service", active=False)),
        ("/run/docker", None),
        ("/run/.ocker.sock", None),
    ],
)
def test_an_address_is_found_among_units(address: str, unit: SocketUnit | None) -> None:
    assert find_socket_unit(LISTING, [address]) == unit


def test_without_systemd_systemctl_is_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(units, "_SYSTEMD", tmp_path / "nothing")
    monkeypatch.setenv("PATH", "")
    assert socket_unit("/run/docker.sock") is None


@pytest.mark.parametrize(
    ("script", "found"), [(f"printf '%s' '{LISTING}'", True), ("exit 1", False)]
)
def test_with_systemd_systemctl_is_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, *, found: bool
) -> None:
    monkeypatch.setattr(units, "_SYSTEMD", tmp_path)
    (tmp_path / "systemctl").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    unit = socket_unit("/other_pid", "/run/docker.sock")
    assert (unit is not None and unit.name == "docker.socket") == found


def test_a_missing_systemctl_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(units, "_SYSTEMD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        subprocess.run(["systemctl"], check=True)
    assert socket_unit("/x") is None


@pytest.mark.parametrize(
    ("cgroup", "group", "expected"),
    [
        ("0::/system.slice/a.service", "/system.slice/a.service", "a.service"),
        ("0::/system.slice/a.service/sub", "/system.slice/a.service", "a.service"),
        ("9:name=systemd:/system.slice/a.service\n0::/", "/system.slice/a.service", "a.service"),
        # a cgroup that a user has made, and called like a service
        ("0::/user.slice/user@7.service/a.service", "/system.slice/a.service", ""),
        ("0::/user.slice/user@7.service/a.service", "", ""),
        # a new start would end the user's whole session
        ("0::/user.slice/user@7.service/sub", "/user.slice/user@7.service", ""),
        ("0::/user.slice/session-1.scope", "/user.slice/session-1.scope", ""),
    ],
)
def test_a_service_is_the_one_whose_cgroup_systemd_has_made(
    monkeypatch: pytest.MonkeyPatch, cgroup: str, group: str, expected: str
) -> None:
    monkeypatch.setattr(units, "cgroup_of", lambda _: f"{cgroup}\n")
    monkeypatch.setattr(units, "settings", lambda *_: {"ControlGroup": group} if group else {})
    assert units.service_of(1) == expected
