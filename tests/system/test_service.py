"""The service under a real systemd: start, talk, reload, restart, stop, and the journal."""

import json
from functools import partial
from typing import Any

import pytest

from tests.system.conftest import (
    RUNTIME,
    SERVICE,
    SETTINGS,
    configure,
    override,
    say,
    settled,
)
from tests.system.machine import Machine, eventually

pytestmark = pytest.mark.xdist_group("machine")


def status_of_process(machine: Machine) -> dict[str, str]:
    """Return /proc/PID/status of the service's main process."""
    pid = machine.show(SERVICE, "MainPID")
    lines = machine.run("cat", f"/proc/{pid}/status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def journal(machine: Machine, **fields: str) -> list[dict[str, Any]]:
    """Return the service's journal records of this run that have these fields."""
    invocation = machine.show(SERVICE, "InvocationID")
    matches = [f"{key}={value}" for key, value in fields.items()]
    found = machine.run(
        *("journalctl", "--no-pager", "--output", "json", f"_SYSTEMD_INVOCATION_ID={invocation}"),
        *matches,
        check=False,
    )
    return [json.loads(line) for line in found.splitlines()]


def owners(machine: Machine) -> list[str]:
    """Return owner, group and mode of the runtime directory and of what is in it."""
    return sorted(machine.run("find", RUNTIME, "-printf", "%p %u:%g %m %y\n").splitlines())


def test_start_returns_when_the_endpoints_listen(service: Machine) -> None:
    assert service.show(SERVICE, "ActiveState") == "active"
    assert say(service, "send", "stream", "hello") == "Hi, hello"
    assert say(service, "send", "datagram", "hello") == "Hi, hello"
    assert say(service, "send", "seed", "hello") == "Hi, hello"


def test_an_ordinary_user_is_answered_too(service: Machine) -> None:
    stream, datagram = f"{RUNTIME}/stream.sock", f"{RUNTIME}/datagram.sock"
    assert say(service, "send", stream, "hello", user="nobody") == "Hi, hello"
    assert say(service, "send", datagram, "hello", user="nobody") == "Hi, hello"
    # The user runs no daemon, so the command talks to the system's without a remark.
    assert say(service, "send", "stream", "hello", user="nobody") == "Hi, hello"
    assert f"runtime directory: {RUNTIME}" in say(service, "status", user="nobody")
    assert service.process("localechoctl", "stop", "stream", user="nobody").returncode == 4


def test_systemctl_status_has_a_line_about_the_endpoints(service: Machine) -> None:
    assert "3" in service.show(SERVICE, "StatusText")
    assert service.show(SERVICE, "StatusText") in service.run("systemctl", "status", SERVICE)


def test_status_says_what_systemd_says(service: Machine) -> None:
    shown = json.loads(say(service, "status", "--json"))
    assert str(shown["daemon"]["pid"]) == service.show(SERVICE, "MainPID")
    assert shown["daemon"]["user"] == "localecho"
    assert shown["daemon"]["config"] == SETTINGS
    assert shown["daemon"]["runtime_dir"] == RUNTIME
    assert {row["state"] for row in shown["endpoints"]} == {"listening"}


def test_nothing_of_root_is_left_in_the_process(service: Machine) -> None:
    uid = service.run("id", "-u", "localecho")
    gid = service.run("id", "-g", "localecho")
    status = status_of_process(service)
    assert status["Uid"].split() == [uid] * 4
    assert status["Gid"].split() == [gid] * 4
    assert status["Groups"].split() in ([], [gid])
    assert {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_owners_and_modes_are_the_services_and_survive_a_restart(service: Machine) -> None:
    before = owners(service)
    assert f"{RUNTIME} localecho:localecho 755 d" in before
    for name in ("stream.sock", "datagram.sock", "seed.sock", "control.sock"):
        assert f"{RUNTIME}/{name} localecho:localecho 666 s" in before
    assert f"{RUNTIME}/endpoints.json localecho:localecho 644 f" in before
    pid = service.show(SERVICE, "MainPID")
    service.run("systemctl", "restart", SERVICE)
    assert service.show(SERVICE, "MainPID") != pid
    assert owners(service) == before
    assert say(service, "send", "stream", "hello") == "Hi, hello"


def test_reload_applies_an_edit_to_the_running_process(service: Machine) -> None:
    pid, before = service.show(SERVICE, "MainPID"), owners(service)
    configure(
        service,
        '[endpoints.stream]\ntype = "stream"',
        '[endpoints.stream]\ntype = "stream"\nprefix = "Hello, "',
    )
    service.run("systemctl", "reload", SERVICE)
    assert say(service, "send", "stream", "you") == "Hello, you"
    assert service.show(SERVICE, "MainPID") == pid
    assert owners(service) == before


def test_a_reload_of_a_broken_file_fails_with_the_reason_and_changes_nothing(
    service: Machine,
) -> None:
    configure(service, "drain_timeout = 5.0 ", 'drain_timeout = "soon" ')
    failed = service.process("systemctl", "reload", SERVICE)
    assert failed.returncode == 1
    assert service.show(SERVICE, "ActiveState") == "active"
    assert say(service, "send", "stream", "hello") == "Hi, hello"
    said = service.run("journalctl", "--no-pager", "--unit", SERVICE, "--lines", "20")
    assert "drain_timeout" in said
    assert SETTINGS in said


def test_a_refused_peer_is_in_the_journal_with_fields(service: Machine) -> None:
    configure(
        service,
        '[endpoints.stream]\ntype = "stream"',
        '[endpoints.stream]\ntype = "stream"\nallow = ["root"]',
    )
    service.run("systemctl", "reload", SERVICE)
    nobody = service.run("id", "-u", "nobody")
    refused = service.process(
        "localechoctl", "send", f"{RUNTIME}/stream.sock", "hello", user="nobody"
    )
    assert refused.returncode != 0
    records = eventually(
        lambda: journal(service, ENDPOINT="stream", PEER_UID=nobody), 10, "the refusal's record"
    )
    record = records[-1]
    assert len(record["MESSAGE_ID"]) == 32
    assert int(record["PEER_PID"]) > 0
    assert "allow" in record["MESSAGE"] or "refused" in record["MESSAGE"]


def test_every_endpoint_has_its_start_in_the_journal(service: Machine) -> None:
    for name in ("stream", "datagram", "seed"):
        eventually(partial(journal, service, ENDPOINT=name), 10, f"a record with ENDPOINT={name}")


def test_the_watchdog_is_fed(service: Machine) -> None:
    assert service.show(SERVICE, "WatchdogUSec") == "30s"  # too long to wait for here
    override(service, "WatchdogSec=2")
    service.run("systemctl", "restart", SERVICE)
    first = service.show(SERVICE, "WatchdogTimestampMonotonic")
    eventually(
        lambda: service.show(SERVICE, "WatchdogTimestampMonotonic") != first,
        10,
        "another sign of life",
    )
    assert service.show(SERVICE, "NRestarts") == "0"


def test_a_daemon_that_hangs_is_started_again(service: Machine) -> None:
    override(service, "WatchdogSec=1", "RestartSec=0")
    service.run("systemctl", "restart", SERVICE)
    pid = service.show(SERVICE, "MainPID")
    service.run("kill", "-STOP", pid)
    eventually(
        lambda: service.show(SERVICE, "MainPID") not in {pid, "0"}, 20, "another main process"
    )
    settled(service, "active")
    assert say(service, "send", "stream", "hello") == "Hi, hello"


def test_a_killed_daemon_is_started_again(service: Machine) -> None:
    override(service, "RestartSec=0")
    before = owners(service)
    pid = service.show(SERVICE, "MainPID")
    service.run("kill", "-KILL", pid)
    eventually(
        lambda: service.show(SERVICE, "MainPID") not in {pid, "0"}, 20, "another main process"
    )
    settled(service, "active")
    assert owners(service) == before
    assert say(service, "send", "stream", "hello") == "Hi, hello"


def test_stop_ends_cleanly_and_leaves_nothing_but_the_lock(service: Machine) -> None:
    service.run("systemctl", "stop", SERVICE)
    assert service.show(SERVICE, "Result") == "success"
    assert service.show(SERVICE, "ExecMainStatus") == "0"
    assert owners(service) == [
        f"{RUNTIME} localecho:localecho 755 d",
        f"{RUNTIME}/localechod.lock localecho:root 600 f",
    ]
    down = service.process("localechoctl", "status")
    assert down.returncode == 3
    assert "journalctl -u localechod -n 20" in down.stdout + down.stderr


def test_a_cold_start_with_a_broken_file_is_78_and_not_tried_again(service: Machine) -> None:
    service.run("systemctl", "stop", SERVICE)
    override(service, "RestartSec=0")
    configure(service, "drain_timeout = 5.0 ", 'drain_timeout = "soon" ')
    assert service.process("systemctl", "start", SERVICE).returncode == 1
    assert service.show(SERVICE, "ExecMainStatus") == "78"
    assert service.show(SERVICE, "ActiveState") == "failed"
    assert service.show(SERVICE, "NRestarts") == "0"
    said = service.run("journalctl", "--no-pager", "--unit", SERVICE, "--lines", "20")
    assert f"{SETTINGS}" in said
    assert "Traceback" not in said


def test_one_endpoint_that_cannot_be_bound_harms_no_other(service: Machine) -> None:
    configure(
        service,
        "[endpoints.seed]",
        '[endpoints.lib]\ntype = "stream"\npath = "/var/lib/le.sock"\n\n[endpoints.seed]',
    )
    service.run("systemctl", "restart", SERVICE)
    rows = {row["name"]: row for row in json.loads(say(service, "status", "--json"))["endpoints"]}
    assert rows["lib"]["state"] == "failed"
    # ProtectSystem=strict: the directory is read-only before its mode matters.
    assert rows["lib"]["error"].startswith("bind failed: Read-only file system (30)")
    assert say(service, "send", "stream", "hello") == "Hi, hello"


@pytest.mark.parametrize(
    ("bind_as", "mode"), [("root", "0666"), ("root", "0600")], ids=["open", "closed"]
)
def test_a_socket_bound_as_root_in_a_foreign_directory(
    service: Machine, bind_as: str, mode: str
) -> None:
    service.run("install", "-d", "-m", "755", "/var/lib/foreign")
    override(service, "ReadWritePaths=/var/lib/foreign")
    configure(
        service,
        "[endpoints.seed]",
        f'[endpoints.lib]\ntype = "stream"\npath = "/var/lib/foreign/le.sock"\nmode = "{mode}"\n'
        f'bind_as = "{bind_as}"\nuser = "nobody"\n\n[endpoints.seed]',
    )
    service.run("systemctl", "restart", SERVICE)
    found = service.run("stat", "-c", "%U:%G %a %F", "/var/lib/foreign/le.sock")
    assert found == f"nobody:localecho {mode.lstrip('0')} socket"
    assert say(service, "send", "/var/lib/foreign/le.sock", "hello", user="nobody") == "Hi, hello"
    denied = service.process("localechoctl", "send", "/var/lib/foreign/le.sock", "x", user="daemon")
    assert denied.returncode == (0 if mode == "0666" else 4)
    # A second start finds the file that the unprivileged daemon could not remove, and replaces it.
    service.run("systemctl", "restart", SERVICE)
    assert say(service, "send", "/var/lib/foreign/le.sock", "hello", user="nobody") == "Hi, hello"
