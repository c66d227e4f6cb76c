"""The README for one user, on a bare Debian: served, upgraded and removed, all without root.

Root does there what the README leaves to an administrator, and no more.
"""

import re

import pytest

from tests.release import bookworm
from tests.system.load import clients
from tests.system.machine import CHECKOUT, Machine, eventually
from tests.system.session import HOME, NAME, PROJECT, SERVICE, Session

VERSION_FILE = f"{PROJECT}/localechod/__init__.py"
PYTHON = f"{HOME}/.local/share/localechod/bin/python"
NEEDS = "please have installed: "
_SECONDS = 600.0  # of what fetches and compiles


def log_in(debian: Machine) -> Session:
    """Return the session of a new user with the project in their home."""
    debian.run("apt-get", "-qq", "update")
    debian.run("apt-get", "-qq", "install", "-y", "libpam-systemd", seconds=_SECONDS)
    debian.run("useradd", "--create-home", "--home-dir", HOME, "--shell", "/bin/sh", NAME)
    debian.run("cp", "-R", bookworm.PROJECT, PROJECT)
    debian.run("chown", "-R", f"{NAME}:", PROJECT)
    session = Session(debian)
    debian.run("systemctl", "start", f"user@{session.uid}.service")
    eventually(
        lambda: session.run("systemctl", "is-system-running", check=False) == "running",
        60,
        "the user's manager to be up",
    )
    return session


def commands() -> list[str]:
    """Return what README has an ordinary user type."""
    _, _, rest = (CHECKOUT / "README.md").read_text().partition("## As one user, without root\n")
    return re.findall(r"(?m)^\$ (.+)$", rest.partition("\n## ")[0])


def version(session: Session) -> str:
    return session.run("localechoctl", "status").split()[1].rstrip(",")


def his_files(session: Session) -> set[str]:
    return set(session.run("find", HOME, "-path", PROJECT, "-prune", "-o", "-print").split())


def test_installed_served_upgraded_under_load_and_removed_by_an_ordinary_user() -> None:
    if bookworm.missing():
        pytest.skip(bookworm.missing())
    with bookworm.bookworm() as debian:
        own = log_in(debian)
        before = his_files(own)
        refused = own.process("sh", "-c", f"cd {PROJECT} && ./dev install --user")
        assert refused.returncode == 1
        packages = refused.stderr.partition(NEEDS)[2].split()
        assert refused.stderr.count("\n") == 1
        debian.run("apt-get", "-qq", "install", "-y", *packages, seconds=_SECONDS)

        printed = [
            own.run("sh", "-c", f"cd {PROJECT}\n{command}", seconds=_SECONDS)
            for command in commands()
        ]
        assert len(printed) == 3
        assert printed[-1] == "Hi, hello"

        old = version(own)
        own.run("sed", "-i", f"s/{old}/99.0.1/", VERSION_FILE)
        stream = f"{own.runtime}/stream.sock"
        with clients(own, 100, stream=stream, python=PYTHON, directory=HOME) as seen:
            own.run(f"{PROJECT}/dev", "install", "--user", seconds=_SECONDS)
            assert version(own) == old  # what runs is what was started
            own.run("systemctl", "restart", SERVICE)
            assert version(own) == "99.0.1"
        assert seen["faults"] == seen["connect_faults"] == []
        assert seen["answered"] == seen["lines"] > 100

        own.run(f"{PROJECT}/dev", "uninstall", "--user")
        left = {path for path in his_files(own) - before if "localechod" in path}
        settings = f"{HOME}/.config/localechod"
        assert {path for path in left if "-clients" not in path} == {
            settings,
            f"{settings}/localechod.toml",
        }
        assert own.show(SERVICE, "LoadState") == "not-found"
        assert own.process("test", "-e", own.runtime).returncode == 1
