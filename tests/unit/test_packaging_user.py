"""The units for one user's manager say the same as the system's, but for what takes privileges."""

from collections import defaultdict
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "packaging" / "systemd"

# Where they differ there is a reason: whose program, directory and description it is.
OWN = {
    "localechod.service": {
        *("Description", "ExecStart", "ExecReload", "RuntimeDirectoryMode", "WantedBy"),
        *("ConditionUser", "SystemCallFilter"),
    },
    "localechod.socket": {"Description", "ConditionUser", "DirectoryMode"},
}
# systemd.exec(5) and systemd.resource-control(5): of no effect in a user's manager, or the start
# fails, or the service gets a user namespace.
PRIVILEGED = (
    *("User", "Group", "SocketUser", "SocketGroup", "CapabilityBoundingSet", "AmbientCapabilities"),
    *("Protect", "Private", "ReadWritePaths", "ProcSubset", "IPAddressDeny", "RemoveIPC"),
    *("KeyringMode", "LogRateLimit"),
)


def settings(file: Path) -> dict[str, list[str]]:
    """Return each setting with its values, in their order."""
    found = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found[key].append(value)
    return dict(found)


@pytest.mark.parametrize("name", OWN)
def test_what_both_have_is_the_same(name: str) -> None:
    systems, users = settings(UNITS / name), settings(UNITS / "user" / name)
    differing = {key for key, value in users.items() if systems.get(key) != value}
    assert differing <= OWN[name]
    missing = {key for key in systems if key not in users and not key.startswith(PRIVILEGED)}
    assert missing == set()


@pytest.mark.parametrize("name", OWN)
def test_nothing_in_it_takes_a_privilege(name: str) -> None:
    assert not [key for key in settings(UNITS / "user" / name) if key.startswith(PRIVILEGED)]


def test_one_line_changes_where_the_commands_are() -> None:
    text = (UNITS / "user" / "localechod.service").read_text(encoding="utf-8")
    paths = [line for line in text.splitlines() if line.startswith(("ExecStart=", "ExecReload="))]
    assert [line.partition("=")[2].split()[0] for line in paths] == [
        "%h/.local/bin/localechod",
        "%h/.local/bin/localechoctl",
    ]
