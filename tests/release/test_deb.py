"""The Debian package on a bare Debian: made, installed, upgraded under load, removed, purged.

It upgrades the package of the commit before, or of the one that OLDER names. One machine for all
of it, and the tests follow one another as an administrator's days do; `-s` shows what they would
see.
"""

import os
from collections.abc import Iterator

import pytest

from tests.release.bookworm import bookworm, missing
from tests.release.debian import copy_commit
from tests.release.routes import follow, make_user, route
from tests.system.conftest import RUNTIME, SERVICE, SETTINGS, SOCKET
from tests.system.load import clients
from tests.system.machine import CHECKOUT, Machine, eventually

WAY = route("test_deb.py")  # ./dev deb, apt install
BEFORE = "/root/before"  # where the older commit's files are
OLDER = f"{BEFORE}/dist/localechod_0.0.9_*.deb"
# All modules, as the commands find them.
IMPORTS = """
import importlib, pkgutil, sys
sys.path.insert(0, "/usr/lib/localechod")
sys.path.append("/usr/lib/python3/dist-packages")
import localechod
for module in pkgutil.walk_packages(localechod.__path__, "localechod."):
    importlib.import_module(module.name)
"""
# Written by others on occasion of it: apt, dpkg, man-db, systemd's state of other units, accounts.
OTHERS = (
    *("/var/lib/dpkg", "/var/lib/apt", "/var/cache", "/var/log", "/var/lib/systemd/random-seed"),
    *("/tmp/", "/var/tmp/", "/root/", "/home/", "/run/", "/etc/.pwd.lock"),  # noqa: S108 - compared
    *(f"/etc/{name}" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")),
)


def do(debian: Machine, command: str, seconds: float = 600) -> str:
    """Have root run a command; return what it says.

    Raises:
        AssertionError: it failed.
    """
    done = debian.process("bash", "-c", command, seconds=seconds)
    said = done.stdout + done.stderr
    print(f"# {command}\n{said}")  # noqa: T201 - the transcript
    assert done.returncode == 0, said
    return said


def fails(debian: Machine, command: str) -> str:
    """Have root run a command that has to fail; return what it says."""
    done = debian.process("bash", "-c", command, seconds=600)
    said = done.stdout + done.stderr
    print(f"# {command}\n{said}(status {done.returncode})")  # noqa: T201 - the transcript
    assert done.returncode != 0, said
    return said


def daemon_version(debian: Machine) -> str:
    return debian.run("localechoctl", "status").split(",")[0]


@pytest.fixture(scope="module")
def debian() -> Iterator[Machine]:
    """A bare Debian, an ordinary user with a checkout, and the package of an older commit."""
    if missing():
        pytest.skip(missing())
    with bookworm() as debian:
        # A reader of README says yes to apt.
        debian.write("/etc/apt/apt.conf.d/90tests", 'APT::Get::Assume-Yes "true";\n')
        make_user(debian)
        copy_commit(debian, os.environ.get("OLDER", "HEAD^"), BEFORE)
        version = f"{BEFORE}/localechod/__init__.py"
        debian.run("sed", "-i", 's/^__version__ = .*/__version__ = "0.0.9"/', version)
        do(debian, f"cd {BEFORE} && ./dev deb")
        yield debian


@pytest.fixture(scope="module")
def project(debian: Machine) -> str:
    """The ordinary user's checkout, and the package that they have built from it."""
    directory = "/home/someone/localechod"
    follow(debian, WAY[0], directory)
    return directory


@pytest.fixture(scope="module")
def newer(project: str) -> str:
    """The package of this version."""
    return f"{project}/dist/localechod_*.deb"


def test_the_chinese_readme_shows_the_same_way() -> None:
    chinese = route("test_deb.py", CHECKOUT / "README.zh.md")
    assert [step.command for step in chinese] == [step.command for step in WAY]
    assert len(WAY) == 2


def test_it_is_installed_by_readmes_command_and_serves_at_once(
    debian: Machine, project: str
) -> None:
    follow(debian, WAY[1], project)
    assert debian.show(SERVICE, "ActiveState") == "active"
    assert debian.run("systemctl", "is-enabled", SERVICE) == "enabled"
    assert debian.show(SOCKET, "ActiveState") == "inactive"
    assert debian.process("systemctl", "is-enabled", SOCKET).stdout.strip() == "disabled"
    do(debian, "localechoctl status")
    assert do(debian, "localechoctl send stream hello") == "Hi, hello\n"
    pid = debian.show(SERVICE, "MainPID")
    assert debian.run("ps", "-o", "user:20=", "-p", pid) == "localecho"


def test_what_belongs_to_it_is_in_its_place(debian: Machine, newer: str) -> None:
    for section, page in (("8", "localechod"), ("1", "localechoctl"), ("5", "localechod.toml")):
        assert f"/man{section}/" in debian.run("man", "-w", section, page)
    verified = do(debian, f"systemd-analyze verify {SERVICE} {SOCKET}")
    assert "localechod" not in verified
    own = "env XDG_RUNTIME_DIR=/run systemd-analyze --user verify"
    for unit in (SERVICE, SOCKET):
        assert "localechod" not in do(debian, f"{own} /usr/lib/systemd/user/{unit}")
    assert do(debian, "dpkg --verify localechod") == ""
    words = "COMP_WORDS='localechoctl st' COMP_CWORD=1 _LOCALECHOCTL_COMPLETE=complete_bash"
    assert do(debian, f"{words} localechoctl").split() == ["status", "start", "stop"]
    for place in (
        "bash-completion/completions/localechoctl",
        "zsh/vendor-completions/_localechoctl",
        "fish/vendor_completions.d/localechoctl.fish",
    ):
        assert debian.run("test", "-s", f"/usr/share/{place}") == ""


def test_every_command_runs_on_what_the_package_has_and_depends_on(debian: Machine) -> None:
    assert debian.run("/usr/bin/python3", "-IS", "-", stdin=IMPORTS) == ""
    do(debian, "localechoctl bench stream --seconds 0.1 --svg /tmp/bench.svg")
    do(debian, "localechoctl lab grpc && localechoctl peers && localechoctl metrics >/dev/null")
    assert "verdict: connect works" in do(debian, f"localechoctl explain {RUNTIME}/stream.sock")


def test_an_installation_beside_it_is_refused_in_words(debian: Machine, project: str) -> None:
    assert "the Debian package" in fails(debian, f"cd {project} && ./dev install")
    assert "the Debian package" in fails(debian, f"cd {project} && ./dev uninstall")
    assert debian.run("localechoctl", "send", "stream", "hello") == "Hi, hello"


def test_up_and_down_again_under_load_no_client_notices(debian: Machine, newer: str) -> None:
    do(debian, f"apt-get install --allow-downgrades {OLDER}")
    assert daemon_version(debian) == "localechod 0.0.9"
    with clients(debian, 100, python="/usr/bin/python3") as seen:
        do(debian, f"apt-get install {newer}")
        assert daemon_version(debian) != "localechod 0.0.9"
        do(debian, f"apt-get install --allow-downgrades {OLDER}")
        assert daemon_version(debian) == "localechod 0.0.9"
        do(debian, f"apt-get install {newer}")
    assert seen["faults"] == []
    assert seen["connect_faults"] == []
    assert seen["answered"] == seen["lines"] > 1000
    assert seen["connects"] > 10


def test_a_configuration_that_was_edited_stays_and_nobody_is_asked(
    debian: Machine, newer: str
) -> None:
    do(debian, f"echo '# mine' >>{SETTINGS}")
    do(debian, f"apt-get install --allow-downgrades {OLDER}")
    do(debian, f"apt-get install {newer}")
    assert debian.run("tail", "-n", "1", SETTINGS) == "# mine"


def test_what_was_stopped_is_not_started_by_an_upgrade(debian: Machine, newer: str) -> None:
    do(debian, f"systemctl stop {SERVICE}")
    do(debian, f"apt-get install --allow-downgrades {OLDER}")
    assert debian.show(SERVICE, "ActiveState") == "inactive"
    do(debian, f"systemctl disable {SERVICE}")
    do(debian, f"apt-get install {newer}")
    assert debian.show(SERVICE, "ActiveState") == "inactive"
    assert debian.process("systemctl", "is-enabled", SERVICE).stdout.strip() == "disabled"
    do(debian, f"systemctl enable --now {SERVICE}")


def test_an_upgrade_with_systemds_sockets_keeps_them(debian: Machine, newer: str) -> None:
    do(debian, f"systemctl stop {SERVICE}; systemctl start {SOCKET}")
    assert do(debian, f"localechoctl send {RUNTIME}/stream.sock hello") == "Hi, hello\n"
    with clients(debian, 20, python="/usr/bin/python3") as seen:
        do(debian, f"apt-get install --allow-downgrades {OLDER}")
        do(debian, f"apt-get install {newer}")
    assert debian.show(SOCKET, "ActiveState") == "active"
    assert (seen["faults"], seen["connect_faults"]) == ([], [])


def test_remove_stops_it_and_install_starts_it_again(debian: Machine, newer: str) -> None:
    do(debian, "apt-get remove localechod")
    for unit in (SERVICE, SOCKET):
        assert debian.show(unit, "LoadState") == "not-found"
        assert debian.show(unit, "ActiveState") == "inactive"
    assert debian.process("pgrep", "-u", "localecho").returncode == 1
    assert debian.process("test", "-e", "/usr/lib/localechod").returncode == 1
    assert debian.run("tail", "-n", "1", SETTINGS) == "# mine"
    do(debian, f"apt-get install {newer}")
    assert debian.show(SERVICE, "ActiveState") == "active"


def test_purge_leaves_nothing(debian: Machine, newer: str) -> None:
    do(debian, "apt-get purge --autoremove localechod")
    before = debian.written()
    accounts = [debian.run("sort", f"/etc/{name}") for name in ("passwd", "group")]
    assert "localecho:" not in "".join(accounts)
    do(debian, f"apt-get install {newer}")
    eventually(lambda: debian.run("localechoctl", "send", "stream", "hello"), 20, "an answer")
    do(debian, "apt-get purge --autoremove localechod")
    left = {path for path in debian.written() - before if not path.startswith(OTHERS)}
    assert left == set()
    assert [debian.run("sort", f"/etc/{name}") for name in ("passwd", "group")] == accounts
    found = debian.run(
        "find", "/", "-xdev", "-iname", "*localecho*", "-not", "-path", "/var/cache/*"
    )
    places = ("/root/", "/home/", "/tmp/", "/proc/", "/run/localechod-clients")  # noqa: S108 - compared
    assert [path for path in found.splitlines() if not path.startswith(places)] == []
    assert debian.process("test", "-e", RUNTIME).returncode == 1
    assert debian.process("pgrep", "-f", "bin/localechod").returncode == 1


def test_beside_an_installation_from_the_checkout_it_is_refused_in_words(
    debian: Machine, project: str, newer: str
) -> None:
    do(debian, f"cd {project} && ./dev install")
    assert "./dev uninstall" in fails(debian, f"apt-get install {newer}")
    do(debian, f"cd {project} && ./dev uninstall")
    # What it has kept is what the package ships: nobody is asked.
    do(debian, f"apt-get install {newer}")
    assert debian.run("localechoctl", "send", "stream", "hello") == "Hi, hello"


def test_two_builds_give_the_same_bytes_and_lintian_is_content(
    debian: Machine, project: str
) -> None:
    do(debian, f"cd {project} && ./dev deb --check")
