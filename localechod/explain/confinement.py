"""The settings of a client's service that hide files from it (systemd.exec(5), Sandboxing).

systemd makes them mounts in a mount namespace of the service, or gives it another root directory.
A mount alone may be anybody's: a setting is named where the mount is as systemd makes it, and the
service has the setting.
"""

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from localechod.explain import units
from localechod.explain.mounts import Mount
from localechod.explain.walk import Walk

# systemd mounts these files of mode 000, below /run, over what it makes inaccessible. In a
# container of systemd-nspawn(1) they are those of the host.
_INACCESSIBLE = re.compile(rb"/(?:systemd|host)/inaccessible/\w+\Z")
_PRIVATE_TMP = re.compile(rb"/systemd-private-[0-9a-f]+-[^/]+/tmp\Z")
_HOMES = frozenset((b"/home", b"/root", b"/run/user"))
_NAMES = (
    "InaccessiblePaths",
    "PrivateTmp",
    "ProtectHome",
    "RootDirectory",
    "RootImage",
    "TemporaryFileSystem",
)


@dataclass(frozen=True, slots=True)
class Confinement:
    """What hides a file from a client.

    Attributes:
        point: the mount point, or "/" for another root directory; as the client has it.
        is_closed: a file of mode 000 is there, not another directory.
        unit: the client's service; "" where it is not known to be its setting.
        setting: the name of the setting; "" likewise.
        value: the value of the setting, as systemd shows it.
    """

    point: bytes
    is_closed: bool
    unit: str = ""
    setting: str = ""
    value: str = ""


def find(walk: Walk, pid: int | None) -> Confinement | None:
    """Find what hides the file at the end of a walk; None where nothing is known to do so.

    Args:
        walk: the client's.
        pid: the client's process; None: our own, which sees its own files.
    """
    if pid is None:
        return None
    lost = walk.number == errno.ENOENT
    values: dict[str, str] | None = None
    unit = ""
    for point, mount in _suspects(walk, pid, lost=lost):
        if values is None:
            unit = units.service_of(pid)
            values = units.settings(unit, *_NAMES)
        closed = mount is not None and _is_closed(mount)
        setting = _setting(values, point, mount)
        if setting:
            return Confinement(point, closed, unit, setting, values[setting])
        if closed:
            return Confinement(point, closed)
    return None


def _suspects(walk: Walk, pid: int, *, lost: bool) -> list[tuple[bytes, Mount | None]]:
    """Return what may hide the file, the last on the path first: None is another root directory."""
    steps = [*walk.steps, *([walk.end] if walk.end else [])]
    seen = list(dict.fromkeys((step.mount.point, step.mount) for step in steps if step.mount))
    suspects: list[tuple[bytes, Mount | None]] = [
        (point, mount) for point, mount in reversed(seen) if _is_closed(mount)
    ]
    last = walk.steps[-1].mount if lost else None
    if last is not None and last.is_deleted:
        return []  # which explains it
    if last is not None and (last.kind == "tmpfs" or _PRIVATE_TMP.search(last.root)):
        suspects.append((last.point, last))
    if lost and not (Path("/proc") / str(pid) / "root").samefile("/"):
        suspects.append((b"/", None))
    return suspects


def _is_closed(mount: Mount) -> bool:
    return _INACCESSIBLE.search(mount.root) is not None


def _setting(values: dict[str, str], point: bytes, mount: Mount | None) -> str:
    """Return the name of the setting that makes this mount; "" where none does."""
    home = values.get("ProtectHome")
    if mount is None:
        return next((name for name in ("RootDirectory", "RootImage") if name in values), "")
    if _is_closed(mount):
        if point in map(path_of, values.get("InaccessiblePaths", "").split()):
            return "InaccessiblePaths"
        return "ProtectHome" if home == "yes" and point in _HOMES else ""
    if _PRIVATE_TMP.search(mount.root):
        return "PrivateTmp" if values.get("PrivateTmp", "no") != "no" else ""
    if point in map(path_of, values.get("TemporaryFileSystem", "").split()):
        return "TemporaryFileSystem"
    return "ProtectHome" if home == "tmpfs" and point in _HOMES else ""


def path_of(word: str) -> bytes:
    """Return the path of a word in a list, as systemd mounts it: without a link.

    It may have the prefixes "-" and "+", and options.
    """
    return os.fsencode(Path(word.lstrip("-+").partition(":")[0]).resolve())
