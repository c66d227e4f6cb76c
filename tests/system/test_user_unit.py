"""One user's own service, without root: under their systemd, from a shell, beside the system's."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.system.conftest import RUNTIME, needs_environment
from tests.system.load import clients
from tests.system.machine import CHECKOUT, Machine, eventually
from tests.system.pages import alike, steps
from tests.system.session import HOME, NAME, PROJECT, SERVICE, SOCKET, Session, log_in

pytestmark = pytest.mark.xdist_group("machine")

PYTHON = f"{HOME}/.local/share/localechod/bin/python"
SETTINGS = f"{HOME}/.config/localechod/localechod.toml"
UNITS = f"{HOME}/.config/systemd/user"
# Written by the user's session itself, by useradd, and by us.
OTHERS = ("/run/", "/var/", "/tmp/", "/etc/", f"{PROJECT}/")  # noqa: S108 - compared, not used


@pytest.fixture
def session(machine: Machine) -> Session:
    """A user with their own service manager; earlier tests may have installed something."""
    needs_environment()
    if machine.process("test", "-e", "/lib/systemd/system/user@.service").returncode != 0:
        pytest.skip("no user@.service here")
    found = log_in(machine)
    if found is None:
        pytest.skip("no systemd for users starts here: libpam-systemd is missing (./dev test)")
    return found


@pytest.fixture
def own(session: Session) -> Iterator[Session]:
    """A user with their own service installed and running, on the shipped configuration."""
    if session.process("test", "-e", f"{UNITS}/{SERVICE}").returncode != 0:
        session.run(f"{PROJECT}/dev", "install", "--user")
    session.run("systemctl", "start", SERVICE)
    yield session
    session.run("systemctl", "stop", SOCKET, SERVICE)
    session.run("rm", "-rf", f"{UNITS}/{SERVICE}.d")
    session.run("cp", f"{PROJECT}/etc/localechod.toml", SETTINGS)
    session.run("systemctl", "daemon-reload")
    session.run("systemctl", "reset-failed", SERVICE, SOCKET, check=False)


def runtime_dir(session: Session, *options: str) -> str:
    """Return whose daemon answers, by its runtime directory."""
    said = json.loads(session.run("localechoctl", *options, "status", "--json"))
    return str(said["daemon"]["runtime_dir"])


def test_install_and_uninstall_write_nothing_outside_the_home_and_leave_the_settings(
    session: Session,
) -> None:
    if session.process("test", "-e", f"{UNITS}/{SERVICE}").returncode == 0:
        session.run(f"{PROJECT}/dev", "uninstall", "--user")
    session.run("rm", "-rf", f"{HOME}/.config/localechod")
    before = session.written()
    said = session.process(f"{PROJECT}/dev", "install", "--user").stderr
    assert "systemctl --user start localechod" in said
    assert session.show(SERVICE, "ActiveState") == "inactive"
    assert session.show(SERVICE, "UnitFileState") == "disabled"
    written = {path for path in session.written() - before if not path.startswith(OTHERS)}
    assert {path for path in written if not path.startswith(f"{HOME}/.")} == set()
    again = session.process(f"{PROJECT}/dev", "install", "--user").stderr
    assert "nothing changed" in again
    session.run("systemctl", "enable", "--now", SOCKET, SERVICE)
    assert session.run("localechoctl", "send", "stream", "hello") == "Hi, hello"
    session.run(f"{PROJECT}/dev", "uninstall", "--user")
    left = {path for path in session.written() - before if not path.startswith(OTHERS)}
    kept = {f"{HOME}/{name}" for name in (".config", ".local", ".local/share")}
    assert left - kept == {f"{HOME}/.config/localechod", SETTINGS}
    for unit in (SERVICE, SOCKET):
        assert session.show(unit, "LoadState") == "not-found"
    assert session.process("test", "-e", session.runtime).returncode == 1
    again = session.process(f"{PROJECT}/dev", "uninstall", "--user").stderr
    assert "nothing to do" in again


def test_root_is_sent_to_the_systems(machine: Machine, session: Session) -> None:
    for what in ("install", "uninstall"):
        refused = machine.process(f"{PROJECT}/dev", what, "--user")
        assert refused.returncode == 1
        assert f"./dev {what}, without --user" in refused.stderr


def test_it_is_a_service_of_the_users_manager(own: Session) -> None:
    assert own.show(SERVICE, "ActiveState") == "active"
    assert own.show(SERVICE, "StatusText") == "3 of 3 endpoints listening"
    assert own.show(SERVICE, "NFileDescriptorStore") == "6"
    for name in ("stream", "datagram", "seed"):
        assert own.run("localechoctl", "send", name, "hello") == "Hi, hello"
    shown = json.loads(own.run("localechoctl", "status", "--json"))["daemon"]
    assert shown["user"] == NAME
    assert shown["runtime_dir"] == own.runtime
    assert shown["config"] == SETTINGS
    assert str(shown["pid"]) == own.show(SERVICE, "MainPID")
    assert own.run("stat", "-c", "%U %a", own.runtime) == f"{NAME} 700"
    faults = own.process("systemd-analyze", "verify", "--man=no", SERVICE, SOCKET)
    assert (faults.returncode, [x for x in faults.stderr.splitlines() if "localechod" in x]) == (
        0,
        [],
    )


def test_its_sandbox_is_in_force_without_any_privilege(own: Session) -> None:
    pid = own.show(SERVICE, "MainPID")
    lines = own.run("cat", f"/proc/{pid}/status").splitlines()
    status = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert status["Uid"].split() == [own.uid] * 4
    assert status["CapEff"] == "0" * 16


def test_restarts_and_reloads_are_noticed_by_no_client(own: Session) -> None:
    stream = f"{own.runtime}/stream.sock"
    inode = own.run("stat", "-c", "%i", stream)
    with clients(own, 50, stream=stream, python=PYTHON, directory=HOME) as seen:
        for turn in range(6):
            pid = own.show(SERVICE, "MainPID")
            own.run("systemctl", "reload" if turn % 3 == 2 else "restart", SERVICE)
            assert (own.show(SERVICE, "MainPID") == pid) == (turn % 3 == 2)
    assert seen["faults"] == seen["connect_faults"] == []
    assert seen["answered"] == seen["lines"] > 100
    assert own.run("stat", "-c", "%i", stream) == inode


def another_process(session: Session, pid: str) -> None:
    eventually(lambda: session.show(SERVICE, "MainPID") not in {pid, "0"}, 20, "another process")


def test_kills_cost_no_kept_connection(own: Session) -> None:
    own.write(f"{UNITS}/{SERVICE}.d/test.conf", "[Service]\nRestartSec=100ms\n")
    own.run("systemctl", "daemon-reload")
    stream, others = f"{own.runtime}/stream.sock", int(own.show(SERVICE, "NFileDescriptorStore"))
    with clients(own, 20, "crashes", stream=stream, python=PYTHON, directory=HOME) as seen:
        eventually(
            lambda: int(own.show(SERVICE, "NFileDescriptorStore")) >= others + 20, 60, "all kept"
        )
        for _ in range(3):
            pid = own.show(SERVICE, "MainPID")
            own.run("kill", "-KILL", pid)
            another_process(own, pid)
            eventually(lambda: own.show(SERVICE, "ActiveState") == "active", 20, "it to serve")
    assert seen["faults"] == []
    assert seen["unanswered"] == 0


def test_a_stop_gives_end_of_file_and_keeps_nothing(own: Session) -> None:
    stream = f"{own.runtime}/stream.sock"
    with clients(own, 20, stream=stream, python=PYTHON, directory=HOME) as seen:
        own.run("systemctl", "stop", SERVICE)
        assert own.run("find", own.runtime, "-type", "s") == ""
        assert own.show(SERVICE, "NFileDescriptorStore") == "0"
    assert all("end of file" in fault or "Broken pipe" in fault for fault in seen["faults"])


def test_a_reload_of_a_broken_file_fails_with_the_reason_in_the_users_journal(own: Session) -> None:
    own.write(SETTINGS, own.run("cat", SETTINGS) + "\nnonsense = 1\n")
    refused = own.process("systemctl", "reload", SERVICE)
    assert refused.returncode == 1
    assert own.run("localechoctl", "send", "stream", "hello") == "Hi, hello"
    own.run("systemctl", "restart", SERVICE)
    assert "degraded" in own.show(SERVICE, "StatusText")


def test_his_socket_unit_starts_it_when_somebody_comes(own: Session) -> None:
    stream = f"{own.runtime}/stream.sock"
    own.run("systemctl", "stop", SERVICE)
    own.run("systemctl", "start", SOCKET)
    assert own.show(SERVICE, "ActiveState") == "inactive"
    # Their own daemon, though it has never run: the sockets are there.
    missing = own.process("localechoctl", "status")
    assert missing.returncode == 3
    assert (
        f"{own.runtime}/control.sock; start it: systemctl --user start localechod" in missing.stderr
    )
    assert own.run("localechoctl", "send", stream, "hello") == "Hi, hello"
    assert own.show(SERVICE, "ActiveState") == "active"
    inode = own.run("stat", "-c", "%i", stream)
    talk = f"(echo one; systemctl --user restart {SERVICE}; echo two) | localechoctl send {stream}"
    assert own.run("sh", "-c", talk).splitlines() == ["Hi, one", "Hi, two"]
    assert own.run("stat", "-c", "%i", stream) == inode


def test_beside_the_systems_each_command_means_ones_own(own: Session, service: Machine) -> None:
    systems = f"{RUNTIME}/control.sock"
    assert runtime_dir(own) == own.runtime
    assert runtime_dir(own, "--control", systems) == RUNTIME
    assert runtime_dir(own, "--control", f"{own.runtime}/control.sock") == own.runtime
    roots = json.loads(service.run("localechoctl", "status", "--json"))
    assert roots["daemon"]["runtime_dir"] == RUNTIME
    own.variables["LOCALECHOD_CONTROL"] = systems
    assert runtime_dir(own) == RUNTIME
    assert runtime_dir(own, "--control", f"{own.runtime}/control.sock") == own.runtime
    del own.variables["LOCALECHOD_CONTROL"]
    for command in (
        ("send", "stream", "hello"),
        ("status",),
        ("peers",),
        ("reload",),
        ("restart", "seed"),
        ("metrics",),
        ("events",),
        ("wait",),
        ("version",),
        ("config", "show"),
        ("explain", "stream"),
        ("explain",),
    ):
        shown = own.on_terminal("localechoctl", *command)
        assert f"(your own localechod, in {own.runtime}, not the system's)" in shown, command
        # A program that reads hears nothing of it.
        assert "your own" not in own.process("localechoctl", *command).stderr
    assert own.on_terminal("localechoctl", "send", f"{RUNTIME}/stream.sock", "x") == "Hi, x"


def test_with_his_own_stopped_he_means_the_systems_and_a_terminal_says_so(
    own: Session, service: Machine
) -> None:
    own.run("systemctl", "stop", SERVICE)
    assert service.show(SERVICE, "ActiveState") == "active"
    assert runtime_dir(own) == RUNTIME
    shown = own.on_terminal("localechoctl", "send", "stream", "hello")
    assert shown == f"(the system's localechod, in {RUNTIME}: you run none)\nHi, hello"
    refused = own.process("localechoctl", "reload")
    assert refused.returncode == 4


def test_what_a_crash_of_his_own_has_left_is_told_as_that(own: Session, service: Machine) -> None:
    assert service.show(SERVICE, "ActiveState") == "active"
    own.run("systemctl", "kill", "--signal=KILL", SERVICE)
    own.run("systemctl", "stop", SERVICE)
    down = own.process("localechoctl", "status")
    assert down.returncode == 3
    assert "systemctl --user start localechod, or localechod --detach" in down.stderr
    assert "journalctl --user -u localechod -n 20" in down.stderr
    assert (
        f"to use the system's daemon: localechoctl --control {RUNTIME}/control.sock" in down.stderr
    )


def test_a_shell_without_a_session_finds_the_managers(own: Session, service: Machine) -> None:
    assert service.show(SERVICE, "ActiveState") == "active"
    said = own.without_session("localechoctl status --json")
    assert json.loads(said.stdout)["daemon"]["runtime_dir"] == own.runtime
    assert own.without_session("localechoctl send stream hello").stdout == "Hi, hello\n"


@pytest.mark.parametrize("session_there", [True, False])
def test_a_plain_shell_serves_and_every_shell_finds_it(
    own: Session, *, session_there: bool
) -> None:
    own.run("systemctl", "stop", SERVICE)
    place = own.runtime if session_there else f"/tmp/localechod-{own.uid}"  # noqa: S108 - the rule
    shell = own.without_session
    if session_there:
        assert own.process("localechod", "--detach").returncode == 0
    else:
        assert shell("localechod --detach").returncode == 0
    try:
        pid = own.run("cat", f"{place}/localechod.pid")
        assert own.run("stat", "-c", "%U %a", place) == f"{NAME} 700"
        assert runtime_dir(own) == place
        said = shell("localechoctl status --json").stdout
        assert json.loads(said)["daemon"]["runtime_dir"] == place
        second = own.process("localechod", "--runtime-dir", place)
        assert second.returncode == 1
        assert f"already running with pid {pid}" in second.stderr
    finally:
        own.run("sh", "-c", f"kill $(cat {place}/localechod.pid)")
        own.run(PYTHON, "-I", "-c", _UNTIL_GONE, f"{place}/localechod.lock")


# The lock is free when the process is gone.
_UNTIL_GONE = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)"

# As after `pip install` without the extra: nothing of systemd-python can be imported.
_WITHOUT_SYSTEMD = (
    "import sys; sys.modules['systemd'] = None; from localechod.daemon.__main__ import main; "
    "sys.exit(main(sys.argv[1:]))"
)


def test_in_the_foreground_it_needs_no_systemd_python(own: Session) -> None:
    own.run("systemctl", "stop", SERVICE)
    script = f"""
        {PYTHON} -I -c "$1" --log-level debug & localechoctl wait --timeout 20 &&
        localechoctl send stream hello; kill $!; wait $!"""
    done = own.process("sh", "-c", script, "sh", _WITHOUT_SYSTEMD)
    assert (done.returncode, done.stdout) == (0, "Hi, hello\n"), done.stderr


def test_a_directory_of_another_user_as_session_is_told(own: Session) -> None:
    own.run("systemctl", "stop", SERVICE)
    refused = own.process("env", "XDG_RUNTIME_DIR=/run/user/0", "localechod")
    assert refused.returncode == 1
    assert "XDG_RUNTIME_DIR has to be a directory of your own" in refused.stderr


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        ("README.md", "## As one user, without root"),
        ("README.zh.md", "## 只给自己用"),
        ("docs/systemd.md", "## One user's own"),
    ],
)
def test_the_commands_of_the_pages_do_what_they_say(own: Session, page: str, heading: str) -> None:
    own.run("systemctl", "stop", SERVICE)
    text = (CHECKOUT / page).read_text()
    section = text.partition(heading)[2].partition("\n## ")[0]
    wanted = list(steps(re.sub(r"<!-- not run: .* -->", "", section)))
    assert len(wanted) >= 3
    for step in wanted:
        done = own.process("sh", "-c", f"cd {PROJECT} && {step.command}")
        assert done.returncode == 0, (step, done.stderr)
        assert step.shown is None or alike(step.shown, done.stdout), (step, done.stdout)
    own.run("systemctl", "stop", SERVICE)
    own.run(PYTHON, "-I", "-c", _UNTIL_GONE, f"{own.runtime}/localechod.lock")
