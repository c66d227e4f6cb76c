"""explain, and clients and servers whose units hide files: it names the setting, and what helps."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.golden_pages import compare
from tests.system.machine import Machine

pytestmark = pytest.mark.xdist_group("machine")

SERVER = """
import os, pathlib, socket, sys, time
path = pathlib.Path(sys.argv[1])
path.parent.mkdir(parents=True, exist_ok=True)
path.unlink(missing_ok=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(str(path))
path.chmod(0o666)
listener.listen()
pathlib.Path("/run/served").touch()
time.sleep(1e6)
"""
CALLER = """
import pathlib, socket, sys, time
number = socket.socket(socket.AF_UNIX).connect_ex(sys.argv[1])
pathlib.Path("/dev/shm/caller.errno").write_text(str(number))
time.sleep(1e6)
"""
RESULT = "/dev/shm/caller.errno"  # noqa: S108 - on the machine of the test
TMP = "/tmp/app.sock"  # noqa: S108 - a shared directory is meant
UNITS = "server.service", "caller.service"


class Pair:
    """A service that listens, and one that connects; each has its settings."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def start(self, name: str, path: str, settings: str = "") -> None:
        """Write a unit and start it; a server has bound its socket afterwards."""
        text = f"[Service]\nExecStart=/usr/bin/python3 /opt/{name}.py {path}\n{settings}\n"
        self.machine.write(f"/run/systemd/system/{name}.service", text)
        self.machine.run("systemctl", "daemon-reload")
        self.machine.run("rm", "-f", RESULT, "/run/served")
        self.machine.run("systemctl", "restart", f"{name}.service")
        if name == "server":
            self.await_server()

    def await_server(self) -> None:
        self.machine.run("sh", "-c", "until [ -e /run/served ]; do sleep 0.1; done")

    def restart(self, name: str, command: str) -> None:
        """Run a command that restarts a unit, and wait as after its start."""
        self.machine.run("rm", "-f", RESULT if name == "caller" else "/run/served")
        self.machine.run("sh", "-c", command)
        if name == "server":
            self.await_server()

    def result(self) -> int:
        """Return what the caller's connect got."""
        self.machine.run("sh", "-c", f"until [ -s {RESULT} ]; do sleep 0.1; done")
        return int(self.machine.run("cat", RESULT))

    def explained(self, path: str) -> dict[str, Any]:
        pid = self.machine.show("caller.service", "MainPID")
        words = ("localechoctl", "explain", path, "--pid", pid, "--filters", "--json")
        report: dict[str, Any] = json.loads(self.machine.process(*words).stdout)
        return report

    def obey(self, report: dict[str, Any]) -> int:
        """Run the commands as they stand; return what the caller gets then."""
        assert report["commands"], report
        self.machine.run("rm", "-f", RESULT)
        for command in report["commands"]:
            self.machine.run("sh", "-c", command)
        return self.result()


@pytest.fixture
def pair(installed: Machine) -> Iterator[Pair]:
    installed.write("/opt/server.py", SERVER)
    installed.write("/opt/caller.py", CALLER)
    yield Pair(installed)
    installed.run("systemctl", "stop", *UNITS, check=False)
    for unit in UNITS:
        installed.run("rm", "-rf", f"/run/systemd/system/{unit}", f"/etc/systemd/system/{unit}.d")
    installed.run("rm", "-rf", "/opt/server.py", "/opt/caller.py", RESULT, "/run/served")
    installed.run("rm", "-rf", "/run/app", "/home/app", TMP)
    installed.run("systemctl", "daemon-reload")


def problem(report: dict[str, Any], name: str) -> str:
    """Return the problem that a check of this name found."""
    found: str = next(
        each["detail"]
        for each in report["checks"]
        if (each["name"], each["result"]) == (name, "problem")
    )
    return found


@pytest.mark.parametrize(
    ("path", "settings", "number", "setting"),
    [
        ("/run/app/s", "InaccessiblePaths=/run/app -/run/no", 2, "InaccessiblePaths=-/run/no"),
        ("/run/app/s", "InaccessiblePaths=/run/app\nUser=nobody", 13, "InaccessiblePaths="),
        ("/run/app/s", "InaccessiblePaths=/run/app/s\nUser=nobody", 13, "InaccessiblePaths="),
        ("/home/app/s", "ProtectHome=yes\nUser=nobody", 13, "ProtectHome=read-only"),
        ("/home/app/s", "ProtectHome=tmpfs", 2, "BindReadOnlyPaths=/home/app"),
        ("/run/app/s", "TemporaryFileSystem=/run:ro", 2, "BindReadOnlyPaths=/run/app"),
        (TMP, "PrivateTmp=yes", 2, "PrivateTmp=no"),
    ],
)
def test_the_setting_that_hides_a_socket_is_named_and_changed(
    pair: Pair, path: str, settings: str, number: int, setting: str
) -> None:
    pair.machine.run("chmod", "1777", str(Path(RESULT).parent))
    pair.start("server", path)
    pair.start("caller", path, settings)
    report = pair.explained(path)
    assert (pair.result(), report["errno"]) == (number, number)
    named = settings.partition("=")[0]
    assert f"caller.service has the setting {named}=" in problem(report, "sandbox")
    assert setting in report["remedy"]
    assert pair.obey(report) == 0
    assert pair.explained(path)["errno"] == 0


def test_settings_that_leave_a_connect_alone_are_not_blamed(pair: Pair) -> None:
    pair.start("server", "/run/app/s")
    strict = "ProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\nPrivateDevices=yes"
    pair.start("caller", "/run/app/s", f"{strict}\nReadWritePaths=/dev/shm")
    report = pair.explained("/run/app/s")
    assert (pair.result(), report["errno"]) == (0, 0)
    assert "sandbox" not in {each["name"] for each in report["checks"]}


def test_a_service_in_another_root_gets_a_mount_of_the_directory(pair: Pair) -> None:
    pair.start("server", "/run/app/s")
    binds = "BindReadOnlyPaths=/usr /lib /lib64 /bin /opt /etc\nBindPaths=/dev/shm"
    pair.machine.run("mkdir", "-p", "/srv/root")
    settings = f"RootDirectory=/srv/root\nMountAPIVFS=yes\n{binds}"
    pair.start("caller", "/run/app/s", settings)
    report = pair.explained("/run/app/s")
    assert (pair.result(), report["errno"]) == (2, 2)
    assert "caller.service has the setting RootDirectory=/srv/root" in problem(report, "sandbox")
    assert pair.obey(report) == 0
    pair.machine.run("systemctl", "stop", "caller.service")
    pair.machine.run("rm", "-rf", "/srv/root")


def test_a_runtime_directory_that_is_made_anew_is_kept_and_mounted_again(pair: Pair) -> None:
    path = "/run/app/s"
    pair.start("server", path, "RuntimeDirectory=app")
    pair.start("caller", path, "TemporaryFileSystem=/run\nBindPaths=/run/app")
    assert pair.result() == 0
    pair.restart("server", "systemctl restart server.service")
    report = pair.explained(path)
    assert report["errno"] == 2
    assert "removed at its source" in problem(report, "mount")
    assert "give server.service the setting RuntimeDirectoryPreserve=yes" in report["remedy"]
    server, caller = report["commands"]
    assert caller == "systemctl restart caller.service"
    pair.restart("server", server)
    pair.restart("caller", caller)
    assert pair.result() == 0
    pair.restart("server", "systemctl restart server.service")  # which keeps its directory now
    assert pair.explained(path)["errno"] == 0


def test_a_server_with_a_tmp_of_its_own_is_named_and_gets_the_shared_one(pair: Pair) -> None:
    pair.start("server", TMP, "PrivateTmp=yes")
    pair.start("caller", TMP)
    report = pair.explained(TMP)
    assert (pair.result(), report["errno"]) == (2, 2)
    assert "server.service) listens under this name, but in another" in problem(report, "elsewhere")
    (command,) = report["commands"]
    pair.restart("server", command)
    pair.restart("caller", "systemctl restart caller.service")
    assert pair.result() == 0


def test_a_server_and_a_client_with_a_tmp_each_both_get_the_shared_one(pair: Pair) -> None:
    pair.start("server", TMP, "PrivateTmp=yes")
    pair.start("caller", TMP, "PrivateTmp=yes")
    report = pair.explained(TMP)
    assert (pair.result(), report["errno"]) == (2, 2)
    server, caller = report["commands"]
    pair.restart("server", server)
    pair.restart("caller", caller)
    assert pair.result() == 0
    assert "JoinsNamespaceOf=" in report["remedy"]


def test_a_service_whose_file_was_removed_is_restarted(pair: Pair) -> None:
    pair.start("server", "/run/app/s")
    pair.machine.run("rm", "/run/app/s")
    pair.start("caller", "/run/app/s")
    report = pair.explained("/run/app/s")
    assert (pair.result(), report["errno"]) == (2, 2)
    assert report["commands"] == ["systemctl restart server.service"]
    pair.restart("server", *report["commands"])
    assert pair.explained("/run/app/s")["errno"] == 0


@pytest.mark.parametrize("running", [True, False])
def test_a_socket_unit_whose_file_was_removed_binds_again(pair: Pair, *, running: bool) -> None:
    machine = pair.machine
    machine.write("/run/systemd/system/server.socket", "[Socket]\nListenStream=/run/app/s\n")
    machine.write(
        "/run/systemd/system/server.service", "[Service]\nExecStart=/bin/sleep infinity\n"
    )
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "server.socket")
    if running:
        machine.run("systemctl", "start", "server.service")
    machine.run("rm", "/run/app/s")
    pair.start("caller", "/run/app/s")
    report = pair.explained("/run/app/s")
    assert (pair.result(), report["errno"]) == (2, 2)
    assert "restart server.socket" in report["remedy"]
    for command in report["commands"]:
        machine.run("sh", "-c", command)
    assert pair.explained("/run/app/s")["errno"] == 0
    machine.run("systemctl", "stop", "server.socket", "server.service")
    machine.run("rm", "/run/systemd/system/server.socket")


def test_the_page_about_a_hidden_directory(pair: Pair) -> None:
    """The whole of it, as a person has reviewed it; see tests/golden_pages.py."""
    pair.start("server", "/home/app/s")
    pair.start("caller", "/home/app/s", "ProtectHome=yes\nUser=nobody")
    pair.result()
    pid = pair.machine.show("caller.service", "MainPID")
    command = f"COLUMNS=80 localechoctl explain /home/app/s --pid {pid}"
    page = pair.machine.process("sh", "-c", command).stdout
    server = pair.machine.show("server.service", "MainPID")
    for number, name in ((pid, "4242"), (server, "812")):
        page = re.sub(rf"\b{number}\b", name, page)
    # The machine's own filters are counted too; how many they are depends on systemd's version.
    page = re.sub(r"one of \d+ seccomp", "one of 5 seccomp", page)
    compare("explain-real-confined-80", page)
