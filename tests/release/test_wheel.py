"""`pip install` of wheels and sdist on a bare Debian: used, served, upgraded, removed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.testing_page import FILES
from tests.release.artifacts import DIST, Artifacts, bring, build, released, tree
from tests.release.bookworm import PROJECT, bookworm, missing
from tests.release.routes import HOME, RUNTIME, UID, as_user, follow, make_user, route
from tests.system.conftest import SERVICE
from tests.system.load import clients
from tests.system.machine import CHECKOUT, Machine

ENVIRONMENT = "/srv/echo"
SHARE = f"{ENVIRONMENT}/share"
CHECKOUT_THERE = f"{HOME}/localechod"  # of `make_user`
HEADERS = ("gcc", "pkg-config", "python3-dev", "libsystemd-dev")

# What an ordinary user does with the commands: first without a daemon, then with their own.
USE = f"""
PATH={ENVIRONMENT}/bin:$PATH
localechoctl --help
localechoctl explain /run/dbus/system_bus_socket
localechoctl sockets --listening | grep -F /run/dbus/system_bus_socket
localechoctl lab empty-message
localechoctl bench --seconds 0.05
localechoctl --show-completion | grep -F _LOCALECHOCTL_COMPLETE
# Without the daemon: 3, and any other socket can be talked to all the same.
status=0; localechoctl status || status=$?; [ $status = 3 ]
python3 -c 'if True:
    import socket
    listener = socket.create_server("/tmp/other.sock", family=socket.AF_UNIX)
    print("listens", flush=True)
    connection, _ = listener.accept()
    connection.sendall(b"I heard " + connection.recv(100))
' >/tmp/other.log & other=$!
until grep -q listens /tmp/other.log; do sleep 0.1; done
[ "$(localechoctl send /tmp/other.sock hello)" = 'I heard hello' ]
wait $other
localechod & daemon=$!
localechoctl wait --timeout 20
[ "$(localechoctl send stream hello)" = 'Hi, hello' ]
[ "$(localechoctl send datagram hello)" = 'Hi, hello' ]
localechoctl status
localechoctl bench stream --seconds 0.05
kill $daemon
wait $daemon
"""


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return released(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture
def debian(artifacts: Artifacts) -> Iterator[Machine]:
    """A bare Debian with wheels and sdist and an ordinary user."""
    if missing():
        pytest.skip(missing())
    with bookworm() as debian:
        bring(debian, artifacts.wheel, artifacts.pure, artifacts.sdist)
        make_user(debian)
        # A reader of README says yes to apt.
        debian.write("/etc/apt/apt.conf.d/90tests", 'APT::Get::Assume-Yes "true";\n')
        debian.run("apt-get", "-qq", "update")
        yield debian


def provide(debian: Machine, *packages: str) -> None:
    debian.run(
        *("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "install"),
        *("--no-install-recommends", *packages),
        seconds=600,
    )


def pip(debian: Machine, *arguments: str) -> str:
    if debian.process("test", "-d", ENVIRONMENT).returncode != 0:
        debian.run("python3", "-m", "venv", ENVIRONMENT)
    return debian.run(f"{ENVIRONMENT}/bin/pip", "-q", *arguments, seconds=600)


def account(debian: Machine) -> None:
    debian.run("systemd-sysusers", f"{PROJECT}/packaging/systemd/sysusers.d/localechod.conf")


def serve(debian: Machine) -> None:
    """Make the environment's daemon a service, with the unit that the sdist has."""
    account(debian)
    unit = debian.run("cat", f"{PROJECT}/packaging/systemd/{SERVICE}")
    unit = unit.replace("/usr/local/bin/", f"{ENVIRONMENT}/bin/")
    debian.write(f"/etc/systemd/system/{SERVICE}", unit + "\n")
    debian.run("systemctl", "daemon-reload")
    debian.run("systemctl", "start", SERVICE)


def left(debian: Machine, *places: str) -> str:
    return debian.run("find", *places, "-name", "*localecho*")


def version(debian: Machine) -> str:
    return debian.run(f"{ENVIRONMENT}/bin/localechoctl", "status").split()[1].rstrip(",")


@pytest.mark.parametrize(
    ("kind", "compiled"), [("wheel", "True"), ("pure", "False"), ("sdist", "False")]
)
def test_an_ordinary_user_needs_neither_a_compiler_nor_root_nor_a_service(
    debian: Machine, artifacts: Artifacts, kind: str, compiled: str
) -> None:
    provide(debian, "python3-venv")
    assert debian.process("which", "gcc", "pkg-config").returncode == 1
    pip(debian, "install", f"{DIST}/{getattr(artifacts, kind).name}")
    asked = "from localechod.echo.fastpath import COMPILED; print(COMPILED)"
    assert debian.run(f"{ENVIRONMENT}/bin/python", "-c", asked) == compiled
    assert "No broken requirements" in debian.run(f"{ENVIRONMENT}/bin/pip", "check")
    said = as_user(debian, USE)
    assert f"localechod {artifacts.version}, pid " in said
    assert "verdict: connect works" in said
    debian.run("test", "-s", f"{ENVIRONMENT}/share/man/man1/localechoctl.1")


def test_the_way_of_the_readme_with_pipx(debian: Machine) -> None:
    provide(debian, "pipx")
    steps = route("test_wheel.py")
    chinese = route("test_wheel.py", CHECKOUT / "README.zh.md")
    assert [step.command for step in chinese] == [step.command for step in steps]
    plain, explain, package, again, *service = steps
    directory = "~someone/localechod"
    follow(debian, plain, directory)
    assert debian.process("which", "gcc").returncode == 1
    follow(debian, explain, directory)
    follow(debian, package, directory)
    follow(debian, again, directory)
    provide(debian, "libpam-systemd")
    debian.run("systemctl", "start", f"user@{UID}.service")
    for step in service:
        follow(debian, step, directory, RUNTIME)
    assert as_user(debian, f"{RUNTIME} localechoctl send stream hello") == "Hi, hello"
    debian.run("systemctl", "stop", f"user@{UID}.service")
    as_user(debian, "rm ~/.config/systemd/user/localechod.*; pipx uninstall localechod")
    assert left(debian, f"{HOME}/.local", "/tmp") == ""  # noqa: S108 - looked at, not used


def test_the_pytest_plugin_in_a_strangers_project(debian: Machine, artifacts: Artifacts) -> None:
    provide(debian, "python3-venv")
    pip(debian, "install", f"{DIST}/{artifacts.wheel.name}[pytest]")
    project = f"{HOME}/project"
    debian.run("mkdir", project)
    for name in ("client.py", "test_first.py", "test_troubles.py"):
        debian.write(f"{project}/{name}", FILES[name])
    tests = f"{ENVIRONMENT}/bin/python -Bm pytest -q -p no:cacheprovider --durations=0"
    said = as_user(debian, tests, project)
    assert "16 passed" in said
    # The client's handling is taken out, and the tests are red.
    worse = FILES["client.py"].replace(
        "except OSError as error", "except ZeroDivisionError as error"
    )
    debian.write(f"{project}/client.py", worse)
    said = as_user(debian, f"{tests} || [ $? = 1 ]", project)
    for name in ("full_backlog", "restart", "killed", "reset", "hanging", "cut_reply"):
        assert f"FAILED test_troubles.py::test_{name} " in said
    assert left(debian, "/tmp") == ""  # noqa: S108 - looked at, not used
    assert debian.process("pgrep", "-f", "localechod.daemon").returncode == 1


# What a shell prints of the completions that it has found for "localechoctl st".
TABS = {
    "bash": """
        . /usr/share/bash-completion/bash_completion
        __load_completion localechoctl
        COMP_WORDS=(localechoctl st) COMP_CWORD=1
        _localechoctl_completion localechoctl
        echo "${COMPREPLY[@]}"
    """,
    "fish": "complete -C 'localechoctl st'",
    "zsh": f"""
        fpath=({SHARE}/zsh/site-functions $fpath)
        autoload -Uz compinit
        compinit -u -D
        echo $_comps[localechoctl]
        compdef() {{ }}
        _arguments() {{ }}
        eval() {{ print -r -- "$@" }}
        words=(localechoctl st) CURRENT=2
        autoload +X _localechoctl
        _localechoctl; _localechoctl_completion
    """,
}


def test_shells_and_man_find_what_is_in_the_environment(
    debian: Machine, artifacts: Artifacts
) -> None:
    provide(debian, "python3-venv", "bash-completion", "fish", "zsh", "man-db")
    pip(debian, "install", f"{DIST}/{artifacts.wheel.name}")
    found = f"PATH={ENVIRONMENT}/bin:$PATH XDG_DATA_DIRS={SHARE}:/usr/share"
    for shell, script in TABS.items():
        debian.write(f"/srv/tab.{shell}", script)
        said = as_user(debian, f"{found} {shell} /srv/tab.{shell}")
        assert all(name in said for name in ("status", "start", "stop")), f"{shell}: {said}"
    assert as_user(debian, f"{found} man -w localechoctl") == f"{SHARE}/man/man1/localechoctl.1"


def test_uv_and_pip_install_the_commands_from_the_checkout_too(
    debian: Machine, artifacts: Artifacts
) -> None:
    provide(debian, "python3-venv")
    pip(debian, "install", "uv")
    debian.run("cp", f"{DIST}/{artifacts.wheel.name}", HOME)
    uv = f"{ENVIRONMENT}/bin/uv tool"
    said = f"localechoctl {artifacts.version}"
    for source in (".", f"{HOME}/{artifacts.wheel.name}"):
        as_user(debian, f"{uv} install {source}", CHECKOUT_THERE)
        assert as_user(debian, "localechoctl --version") == said
        as_user(debian, f"{uv} uninstall localechod")
    as_user(debian, "python3 -m venv ~/own && ~/own/bin/pip -q install .", CHECKOUT_THERE)
    assert as_user(debian, "own/bin/localechoctl --version") == said


def test_under_systemd_it_says_what_is_missing(debian: Machine, artifacts: Artifacts) -> None:
    provide(debian, "python3-venv")
    pip(debian, "install", f"{DIST}/{artifacts.wheel.name}")
    account(debian)
    unit = ["systemd-run", "--pipe", "--wait", "--property=Type=notify"]
    refused = debian.process(*unit, f"{ENVIRONMENT}/bin/localechod")
    assert refused.returncode != 0
    assert "systemd-python is not installed" in refused.stderr
    (line,) = [line for line in refused.stderr.splitlines() if "systemd-python" in line]
    assert "python3-systemd" in line
    assert "Traceback" not in refused.stderr


def test_an_upgrade_under_load_is_noticed_by_no_client_and_nothing_is_left_in_the_end(
    debian: Machine, artifacts: Artifacts, tmp_path: Path
) -> None:
    provide(debian, "python3-venv", *HEADERS)
    newer = build(tree(tmp_path / "newer", "99.0.1"), tmp_path / "dist")
    bring(debian, newer.wheel)
    pip(debian, "install", f"{DIST}/{artifacts.wheel.name}[systemd]")
    serve(debian)
    assert version(debian) == artifacts.version
    assert "/_fastpath.abi3.so" in debian.run(
        "cat", f"/proc/{debian.show(SERVICE, 'MainPID')}/maps"
    )
    with clients(debian, 100, python="/usr/bin/python3") as seen:
        pip(debian, "install", "--upgrade", f"{DIST}/{newer.wheel.name}")
        assert version(debian) == artifacts.version  # what runs is what was started
        debian.run("systemctl", "restart", SERVICE)
        assert version(debian) == newer.version
    assert seen["faults"] == seen["connect_faults"] == []
    assert seen["answered"] == seen["lines"] > 100
    debian.run("systemctl", "stop", SERVICE)
    pip(debian, "uninstall", "-y", "localechod")
    assert left(debian, ENVIRONMENT) == ""
