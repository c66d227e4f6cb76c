"""The settings of a client's service that hide files, and the remedy, from invented facts."""

import errno
import os
import stat
from dataclasses import replace

import pytest

from localechod.explain import confinement, units
from localechod.explain.confinement import Confinement
from localechod.explain.facts import Facts
from localechod.explain.mounts import Mount
from localechod.explain.report import judge
from localechod.explain.walk import Walk
from tests.unit.explain_fakes import client, docker, missing, step, walk

TMP = "/tmp"  # noqa: S108 - PrivateTmp= is about it
CLOSED = b"/systemd/inaccessible/dir"
PRIVATE = b"/tmp/systemd-private-0123abcd-caller.service-AbCdEf/tmp"


def ended(point: str, root: bytes = b"/", kind: str = "tmpfs") -> Walk:
    """Return a walk that has ended in a mount, where the next name does not exist."""
    mounted = Mount(device=2, root=root, point=point.encode(), kind=kind, read_only=False)
    place = step(point, stat.S_IFDIR | 0o755, mount=mounted)
    return walk(place, number=errno.ENOENT, stopped_at=f"{point}/x")


@pytest.mark.parametrize(
    ("walked", "values", "setting"),
    [
        (ended("/srv/a", CLOSED), {"InaccessiblePaths": "-/srv/b -/srv/a"}, "InaccessiblePaths"),
        (ended("/srv/a", CLOSED), {"InaccessiblePaths": "/srv", "ProtectHome": "yes"}, ""),
        (ended("/home", CLOSED), {"ProtectHome": "yes"}, "ProtectHome"),
        (ended("/home", CLOSED), {"ProtectHome": "read-only"}, ""),
        (ended("/home"), {"ProtectHome": "tmpfs"}, "ProtectHome"),
        (ended("/srv"), {"TemporaryFileSystem": "/srv:ro,mode=755"}, "TemporaryFileSystem"),
        (ended(TMP, PRIVATE, "ext4"), {"PrivateTmp": "yes"}, "PrivateTmp"),
    ],
)
def test_a_setting_is_named_if_both_the_mount_and_the_unit_have_it(
    monkeypatch: pytest.MonkeyPatch, walked: Walk, values: dict[str, str], setting: str
) -> None:
    monkeypatch.setattr(units, "service_of", lambda _: "caller.service")
    monkeypatch.setattr(units, "settings", lambda *_: values)
    found = confinement.find(walked, os.getpid())
    assert found is not None
    assert found.setting == setting
    assert found.unit == ("caller.service" if setting else "")


@pytest.mark.parametrize(
    "walked",
    [
        ended("/srv"),  # a file system of that kind, which no setting has made
        ended(TMP, PRIVATE, "ext4"),
        ended("/var/a", b"/a//deleted"),  # another cause
    ],
)
def test_a_mount_that_no_setting_makes_is_not_blamed(
    monkeypatch: pytest.MonkeyPatch, walked: Walk
) -> None:
    monkeypatch.setattr(units, "service_of", lambda _: "caller.service")
    monkeypatch.setattr(units, "settings", lambda *_: {"TemporaryFileSystem": "/var/a"})
    assert confinement.find(walked, os.getpid()) is None
    assert confinement.find(walked, None) is None


def confined(setting: str, value: str, outside: Facts, *, closed: bool = False) -> Facts:
    """Return the facts about a file that a setting of /run hides."""
    found = Confinement(b"/run", closed, "caller.service", setting, value)
    return replace(missing(), confinement=found, outside=outside)


def test_a_permission_that_is_missing_outside_too_is_a_further_step() -> None:
    facts = confined("InaccessiblePaths", "/run", docker(client()), closed=True)
    allowed, added = judge(facts).verdict.remedy.commands
    assert "InaccessiblePaths=" in allowed
    assert added == "usermod -aG staff games"


@pytest.mark.parametrize(
    ("value", "commands"),
    [("/run /srv/b -/srv/c", 1), ("/run /srv/100%", 0), ("/run /srv/a\\x20b", 0)],
)
def test_the_rest_of_a_list_stays_or_no_command_is_offered(value: str, commands: int) -> None:
    facts = confined("InaccessiblePaths", value, docker(client(5, 50)), closed=True)
    remedy = judge(facts).verdict.remedy
    assert len(remedy.commands) == commands
    if commands:
        lines = "InaccessiblePaths= InaccessiblePaths=/srv/b InaccessiblePaths=-/srv/c"
        assert f"'[Service]' {lines} >>" in remedy.commands[0]
    else:
        assert remedy.text == "have caller.service see /run: its setting InaccessiblePaths="


def test_a_socket_that_does_not_exist_outside_either_is_not_hidden() -> None:
    facts = confined("TemporaryFileSystem", "/run", missing())
    assert "sandbox" not in {each.name for each in judge(facts).checks}


def test_a_socket_right_at_the_mount_cannot_have_its_directory_mounted_there() -> None:
    facts = confined("TemporaryFileSystem", "/run", docker(client(5, 50)))
    remedy = judge(facts).verdict.remedy
    assert (remedy.commands, remedy.text) == (
        (),
        "have caller.service see /run: its setting TemporaryFileSystem=",
    )
