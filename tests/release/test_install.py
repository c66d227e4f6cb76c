"""The way of the README with `./dev install`, on a bare Debian: served, upgraded, removed."""

import pytest

from tests.release.bookworm import PROJECT, bookworm, missing
from tests.release.routes import follow, section
from tests.system.conftest import SERVICE
from tests.system.load import clients
from tests.system.machine import Machine

VERSION_FILE = f"{PROJECT}/localechod/__init__.py"


def everything_of_ours(debian: Machine) -> set[str]:
    """Return whatever has our name, outside of the checkout."""
    trees = ["-path", PROJECT, "-o", "-path", "/proc", "-o", "-path", "/sys"]
    return set(
        debian.run(
            *("find", "/", "(", *trees, ")", "-prune", "-o", "-name", "*localecho*", "-print")
        ).split()
    )


def version(debian: Machine) -> str:
    return debian.run("localechoctl", "status").split()[1].rstrip(",")


def test_installed_served_upgraded_under_load_and_removed() -> None:
    if missing():
        pytest.skip(missing())
    with bookworm() as debian:
        before = everything_of_ours(debian)
        for step in section("Install it as a service"):
            follow(debian, step, PROJECT)
        assert debian.run("localechoctl", "send", "stream", "hello") == "Hi, hello"
        old = version(debian)
        assert old in debian.run("cat", VERSION_FILE)
        debian.run("sed", "-i", f"s/{old}/99.0.1/", VERSION_FILE)
        with clients(debian, 100) as seen:
            debian.run(f"{PROJECT}/dev", "install")
            assert version(debian) == old  # what runs is what was started
            debian.run("systemctl", "restart", SERVICE)
            assert version(debian) == "99.0.1"
        assert seen["faults"] == seen["connect_faults"] == []
        assert seen["answered"] == seen["lines"] > 100
        debian.run(f"{PROJECT}/dev", "uninstall")
        left = {path for path in everything_of_ours(debian) - before if "-clients" not in path}
        assert left == {"/etc/localechod", "/etc/localechod/localechod.toml"}
        assert debian.process("getent", "passwd", "localecho").returncode == 2
        assert debian.show(SERVICE, "LoadState") == "not-found"
