"""never-root.conf on a real systemd: not for one instruction is the service root."""

import json
from collections.abc import Iterator

import pytest

from tests.system.conftest import (
    RUNTIME,
    SERVICE,
    SOCKET,
    configure,
    say,
    settled,
)
from tests.system.machine import Machine

pytestmark = pytest.mark.xdist_group("machine")

SHIPPED = "/usr/local/share/localechod/never-root.conf"
DROP_INS = f"/etc/systemd/system/{SERVICE}.d"
STREAM = f"{RUNTIME}/stream.sock"
FOREIGN = "/var/lib/foreign"


def enable(machine: Machine) -> None:
    """Do what the drop-in's first lines say, to the word."""
    lines = machine.run("cat", SHIPPED).splitlines()
    commands = [line.removeprefix("#   ") for line in lines if line.startswith("#   ")]
    assert len(commands) == 2
    for command in commands:
        machine.run("sh", "-c", command)


@pytest.fixture
def rootless(service: Machine) -> Iterator[Machine]:
    """The machine with the service running under the drop-in."""
    enable(service)
    yield service
    service.run("rm", "-rf", DROP_INS)


def process_status(machine: Machine) -> dict[str, str]:
    pid = machine.show(SERVICE, "ExecMainPID")
    lines = machine.run("cat", f"/proc/{pid}/status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_it_starts_without_root_and_without_a_capability(rootless: Machine) -> None:
    # No "!" or "+" in front: systemd itself has changed to User= before it ran anything.
    assert "argv[]=/usr/local/bin/localechod -c " in rootless.show(SERVICE, "ExecStart")
    assert "path=/usr/local/bin/localechod " in rootless.show(SERVICE, "ExecStartEx")
    assert "flags= " in rootless.show(SERVICE, "ExecStartEx")
    assert rootless.show(SERVICE, "User") == "localecho"
    assert rootless.show(SERVICE, "CapabilityBoundingSet") == ""
    for key in ("ExecStartPre", "ExecStartPost", "ExecStopPost"):
        assert rootless.show(SERVICE, key) == ""
    status = process_status(rootless)
    assert status["Uid"].split() == [rootless.run("id", "-u", "localecho")] * 4
    assert status["Gid"].split() == [rootless.run("id", "-g", "localecho")] * 4
    assert {status[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert rootless.show(SERVICE, "NRestarts") == "0"


def test_it_serves_and_says_where_its_configuration_is(rootless: Machine) -> None:
    for name in ("stream", "datagram", "seed"):
        assert say(rootless, "send", name, "hello") == "Hi, hello"
    assert say(rootless, "send", STREAM, "hello", user="nobody") == "Hi, hello"
    assert "configuration: /etc/localechod/localechod.toml" in say(rootless, "status")
    rootless.run("systemctl", "reload", SERVICE)
    # Nobody else of that account, if there were one, could look into its memory.
    pid = rootless.show(SERVICE, "MainPID")
    assert rootless.run("stat", "-c", "%U", f"/proc/{pid}/environ") == "root"


def test_a_restart_loses_nothing_nor_does_the_way_there_and_back(service: Machine) -> None:
    commands = [
        f"install -D -m 644 -t {DROP_INS} {SHIPPED}; systemctl daemon-reload",
        ":",
        f"rm -r {DROP_INS}; systemctl daemon-reload",
    ]
    restarts = "".join(
        f"{command}; systemctl restart {SERVICE}; echo {number}; "
        for number, command in enumerate(commands)
    )
    pid, inode = service.show(SERVICE, "MainPID"), service.run("stat", "-c", "%i", STREAM)
    talk = f"(echo first; {restarts}) | socat -t5 - UNIX:{STREAM}"
    assert service.run("sh", "-c", talk).splitlines() == ["Hi, first", "Hi, 0", "Hi, 1", "Hi, 2"]
    assert service.show(SERVICE, "MainPID") != pid
    assert service.run("stat", "-c", "%i", STREAM) == inode


def test_what_takes_root_is_refused_and_harms_no_other(rootless: Machine) -> None:
    configure(
        rootless,
        "[endpoints.seed] ",
        f'[endpoints.lib]\ntype = "stream"\npath = "{FOREIGN}/le.sock"\nbind_as = "root"\n\n'
        "[endpoints.seed] ",
    )
    reload = rootless.process("localechoctl", "reload")
    assert reload.returncode == 1
    assert "localechod was not started as root" in reload.stderr
    rootless.run("systemctl", "restart", SERVICE)
    rows = {row["name"]: row for row in json.loads(say(rootless, "status", "--json"))["endpoints"]}
    assert rows["lib"]["state"] == "failed"
    assert rows["lib"]["error"] == 'bind_as = "root", and localechod was not started as root'
    start = rootless.process("localechoctl", "start", "lib")
    assert start.returncode == 1
    assert "without never-root.conf" in start.stderr
    assert "localechod.socket" in start.stderr
    assert say(rootless, "send", "stream", "hello") == "Hi, hello"


def test_with_a_socket_unit_it_serves_in_a_foreign_directory_too(rootless: Machine) -> None:
    rootless.run("systemctl", "stop", SERVICE)
    rootless.run("install", "-d", "-m", "755", FOREIGN)
    configure(
        rootless,
        "[endpoints.seed] ",
        f'[endpoints.lib]\ntype = "stream"\npath = "{FOREIGN}/le.sock"\nmode = "0666"\n\n'
        "[endpoints.seed] ",
    )
    rootless.write(
        f"/run/systemd/system/{SOCKET}.d/test.conf", f"[Socket]\nListenStream={FOREIGN}/le.sock\n"
    )
    rootless.run("systemctl", "daemon-reload")
    try:
        rootless.run("systemctl", "start", SOCKET)
        assert say(rootless, "send", f"{FOREIGN}/le.sock", "hello", user="nobody") == "Hi, hello"
        settled(rootless, "active")
        for name in ("lib", "stream", "datagram", "seed"):
            assert say(rootless, "send", name, "hello") == "Hi, hello"
        states = json.loads(say(rootless, "status", "--json"))["endpoints"]
        assert {row["state"] for row in states} == {"listening"}
        assert process_status(rootless)["CapBnd"] == "0" * 16
    finally:
        rootless.run("systemctl", "stop", SOCKET)
        rootless.run("rm", "-r", f"/run/systemd/system/{SOCKET}.d")
