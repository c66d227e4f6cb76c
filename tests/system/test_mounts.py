"""The directory of a socket, or its file, mounted in a container: what survives what."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.system.conftest import RUNTIME, SERVICE, SOCKET, configure, override, say, settled
from tests.system.containers import MOUNTED, STREAM, box, checked, explained, inside
from tests.system.machine import Machine, eventually

pytestmark = pytest.mark.xdist_group("machine")

FILE = "/run/one.sock"


@contextmanager
def mounts(machine: Machine) -> Iterator[str]:
    """Have a container with the directory of the sockets in it, and the file of one."""
    machine.run("mkdir", "-p", MOUNTED)
    machine.run("touch", FILE)
    bind = f"mount --bind {RUNTIME} {MOUNTED} && mount --bind {STREAM} {FILE}"
    with box(machine, bind, "unshare", "--mount") as pid:
        yield pid
    machine.run("rm", "-r", FILE, MOUNTED)


def crash(machine: Machine) -> None:
    pid = machine.show(SERVICE, "MainPID")
    machine.run("kill", "-KILL", pid)
    eventually(lambda: machine.show(SERVICE, "MainPID") not in {pid, "0"}, 20, "another process")
    settled(machine, "active")


def restart_service(machine: Machine) -> None:
    machine.run("systemctl", "restart", SERVICE)


def restart_endpoint(machine: Machine) -> None:
    say(machine, "restart", "stream")


def reload_with_another_backlog(machine: Machine) -> None:
    configure(machine, "[endpoints.stream]", "[endpoints.stream]\nbacklog = 77")
    assert "changed: stream" in say(machine, "reload")


def stop_and_start(machine: Machine) -> None:
    machine.run("systemctl", "stop", SERVICE)
    machine.run("systemctl", "start", SERVICE)


def lose_the_file(machine: Machine) -> None:
    old = machine.run("stat", "-c", "%i", STREAM)
    machine.run("rm", STREAM)
    eventually(
        lambda: machine.run("stat", "-c", "%i", STREAM, check=False) not in {"", old},
        20,
        "another file",
    )


SAME = [restart_service, crash]
ANEW = [restart_endpoint, reload_with_another_backlog, stop_and_start, lose_the_file]


@pytest.mark.parametrize("happens", [*SAME, *ANEW], ids=lambda happens: happens.__name__)
def test_a_mounted_directory_shows_the_socket_there_is(service: Machine, happens: Any) -> None:
    override(service, "RestartSec=100ms")
    with mounts(service) as pid:
        happens(service)
        answer = inside(service, pid, "localechoctl", "send", f"{MOUNTED}/stream.sock", "hello")
        assert answer.stdout == "Hi, hello\n"
        report = explained(service, f"{MOUNTED}/stream.sock", "--pid", pid, "--filters")
        assert report["errno"] == 0


@pytest.mark.parametrize("happens", SAME, ids=lambda happens: happens.__name__)
def test_a_mounted_file_survives_what_keeps_the_socket(service: Machine, happens: Any) -> None:
    override(service, "RestartSec=100ms")
    with mounts(service) as pid:
        happens(service)
        assert inside(service, pid, "localechoctl", "send", FILE, "hello").stdout == "Hi, hello\n"
        report = explained(service, FILE, "--pid", pid, "--filters")
        assert report["errno"] == 0
        assert checked(report, "mount") == ("ok", "bind-mounted from /localechod/stream.sock")


@pytest.mark.parametrize("happens", ANEW, ids=lambda happens: happens.__name__)
def test_a_mounted_file_is_left_behind_by_a_new_one_and_the_remedy_helps(
    service: Machine, happens: Any
) -> None:
    with mounts(service) as pid:
        happens(service)
        assert say(service, "send", "stream", "hello") == "Hi, hello"
        refused = inside(service, pid, "localechoctl", "send", FILE, "hello")
        assert refused.returncode == 7
        assert "Connection refused (111)" in refused.stderr
        assert "a bind mount of a file that the server has since replaced" in refused.stderr
        report = explained(service, FILE, "--pid", pid, "--filters")
        # This machine is a container itself, so there may be servers that nobody here can see.
        assert report["errno"] in {111, None}
        assert checked(report, "mount")[0] == "problem"
        assert "mount the directory instead of the file" in report["remedy"]
        assert explained(service, FILE, "--pid", pid, "--filters", "--probe")["errno"] == 111
        mend = f"umount {FILE} && mount --bind {MOUNTED}/stream.sock {FILE}"
        inside(service, pid, "sh", "-c", mend).check_returncode()
        assert inside(service, pid, "localechoctl", "send", FILE, "hello").stdout == "Hi, hello\n"
        assert explained(service, FILE, "--pid", pid, "--filters")["errno"] == 0


def test_a_mounted_file_of_systemds_survives_stop_and_start_of_the_service(
    service: Machine,
) -> None:
    service.run("systemctl", "stop", SERVICE)
    service.run("systemctl", "start", SOCKET)
    try:
        with mounts(service) as pid:
            for _ in range(2):
                answer = inside(service, pid, "localechoctl", "send", FILE, "hello")
                assert answer.stdout == "Hi, hello\n"
                service.run("systemctl", "stop", SERVICE)
    finally:
        service.run("systemctl", "stop", SOCKET)
