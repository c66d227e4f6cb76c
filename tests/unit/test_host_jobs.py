"""A stop is told from a restart by the job that waits for the unit."""

from pathlib import Path

import pytest

from localechod.host import jobs
from localechod.host.jobs import Unit

SYSTEMS = Unit("localechod.service")

LISTING = """\
172 localechod.service         restart running
173 localechod.service.wants-x start   waiting
174 other.service              stop    waiting
"""


@pytest.mark.parametrize(
    ("unit", "found"),
    [("localechod.service", "restart"), ("other.service", "stop"), ("no.service", "")],
)
def test_the_units_own_job_is_found(unit: str, found: str) -> None:
    assert jobs.job_type(LISTING, unit) == found


@pytest.mark.parametrize("listing", ["", "No jobs running.\n", "1 localechod.service restart"])
def test_what_is_no_job_is_none(listing: str) -> None:
    assert not jobs.job_type(listing, "localechod.service")


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0::/system.slice/localechod.service\n", SYSTEMS),
        ("9:name=systemd:/system.slice/a@b:c.service\n1:cpu:/x.service\n", Unit("a@b:c.service")),
        ("1:cpu:/system.slice/x.service\n", Unit()),
        ("0::/user.slice/session-1.scope\n", Unit()),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/localechod.service\n",
            Unit("localechod.service", users=True),
        ),
        ("0::/user.slice/user-1000.slice/user@1000.service\n", Unit("user@1000.service")),
        ("0::/\n", Unit()),
    ],
)
def test_the_unit_is_that_of_the_control_group(sockdir: Path, text: str, unit: Unit) -> None:
    (sockdir / "cgroup").write_text(text)
    assert jobs.own_unit(sockdir / "cgroup") == unit


def test_without_proc_there_is_no_unit(sockdir: Path) -> None:
    assert jobs.own_unit(sockdir / "cgroup") == Unit()


def ask(monkeypatch: pytest.MonkeyPatch, path: Path, script: str, unit: Unit = SYSTEMS) -> str:
    """Ask a systemctl of our own, as a process that systemd has started."""
    program = path / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(path), prepend=":")
    monkeypatch.setattr(jobs, "own_unit", lambda: unit)
    return jobs.pending({"INVOCATION_ID": "1"})


def test_systemctl_is_asked(monkeypatch: pytest.MonkeyPatch, sockdir: Path) -> None:
    script = 'test "$1" = list-jobs && echo "7 localechod.service restart running"'
    assert ask(monkeypatch, sockdir, script) == "restart"


def test_the_users_own_manager_is_asked_where_it_runs_the_service(
    monkeypatch: pytest.MonkeyPatch, sockdir: Path
) -> None:
    script = """case "$*" in
        *--user*) echo "7 localechod.service restart running" ;;
        *) echo "8 localechod.service stop running" ;;
    esac"""
    assert ask(monkeypatch, sockdir, script, Unit("localechod.service", users=True)) == "restart"
    assert ask(monkeypatch, sockdir, script) == "stop"


def test_a_systemctl_that_fails_is_logged_and_no_answer(
    monkeypatch: pytest.MonkeyPatch, sockdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not ask(monkeypatch, sockdir, "echo 'no bus' >&2; exit 1")
    assert "systemctl list-jobs ended with 1: no bus" in caplog.text


def test_a_systemctl_that_never_answers_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, sockdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "_SECONDS", 0.05)
    assert not ask(monkeypatch, sockdir, "exec sleep 60")
    assert "has not answered" in caplog.text


def test_without_systemctl_there_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, sockdir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(sockdir))
    monkeypatch.setattr(jobs, "own_unit", lambda: SYSTEMS)
    assert not jobs.pending({"INVOCATION_ID": "1"})
    assert "systemctl cannot be run" in caplog.text


def test_without_systemd_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, sockdir: Path) -> None:
    monkeypatch.setattr(jobs, "own_unit", lambda: SYSTEMS)
    assert not jobs.pending({})
