"""A mount of a directory that was removed at its source: it stays empty for ever.

systemd removes a RuntimeDirectory= when its unit stops, and makes another one when it starts. A
container or a service that has mounted the first one does not see the second.
"""

import os
import stat
from dataclasses import dataclass

from localechod.explain import drop_ins, listings, mounts, shell, units
from localechod.explain.check import Check
from localechod.explain.mounts import Mount
from localechod.explain.processes import holding_processes
from localechod.explain.remedy import Action, Remedy
from localechod.explain.walk import Walk
from localechod.text import escape

_AGAIN = "a RuntimeDirectory= is removed whenever its service stops"
_KEPT = "RuntimeDirectoryPreserve=yes"
_DELETED = b"//deleted"


@dataclass(frozen=True, slots=True)
class DeadMount:
    """A mount of a directory that was removed.

    Attributes:
        point: the mount point, as the client has it.
        source: the path by which we see the directory that is now at the source; b"" where there
            is none.
        server: the service that has its RuntimeDirectory= there, and removes it; "" where none is
            known.
        client: the client's service; "" where it has none.
    """

    point: bytes
    source: bytes = b""
    server: str = ""
    client: str = ""


def find(walk: Walk, name: bytes, pid: int | None) -> DeadMount | None:
    """Find the dead mount at which a walk has ended; None where it has ended at none.

    Args:
        walk: the client's.
        name: the path of the question.
        pid: the client's process; None: our own.
    """
    mount = walk.steps[-1].mount if walk.steps else None
    if walk.end is not None or mount is None or not mount.is_deleted:
        return None
    client = units.service_of(pid) if pid else ""
    for source in _sources(mount):
        inner = name.removeprefix(mount.point) if name.startswith(mount.point + b"/") else b""
        return DeadMount(mount.point, source, _server(source, source + inner), client)
    return DeadMount(mount.point, client=client)


def _sources(mount: Mount) -> list[bytes]:
    """Return the directories that now have the path of the one that was removed."""
    gone = mount.root.removesuffix(_DELETED)
    found = []
    for each in mounts.table(os.getpid()).values():
        root = each.root.rstrip(b"/")
        if each.device == mount.device and gone.startswith(root + b"/"):
            path = each.point.rstrip(b"/") + gone.removeprefix(root)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode) and status.st_dev == mount.device:
                found.append(path)
    return found


def _server(directory: bytes, path: bytes) -> str:
    """Return the service that listens at a path, and removes the directory when it stops."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    found = listings.by_file(status.st_dev, status.st_ino, None).sockets
    held, _ = holding_processes(found) if found else ({}, 0)
    for pid in sorted({each.pid for holders in held.values() for each in holders}):
        unit = units.service_of(pid)
        values = units.settings(unit, "RuntimeDirectory", "RuntimeDirectoryPreserve")
        made = [f"/run/{name}" for name in values.get("RuntimeDirectory", "").split()]
        kept = values.get("RuntimeDirectoryPreserve")
        if kept == "no" and any(f"{os.fsdecode(directory)}/".startswith(f"{m}/") for m in made):
            return unit
    return ""


def check_dead_mount(dead: DeadMount | None) -> list[Check]:
    """Check whether the lookup has ended in a dead mount."""
    if dead is None:
        return []
    detail = (
        f"{escape(dead.point)} is a mount of a directory that was removed at its source: "
        "a directory that is made there anew is not visible here"
    )
    return [Check("mount", "problem", detail, remedy=_remedy(dead))]


def _remedy(dead: DeadMount) -> Remedy:
    actions = []
    if dead.server:
        text = f"give {dead.server} the setting {_KEPT}, and restart it"
        actions.append(Action(text, drop_ins.command(dead.server, [_KEPT])))
    elif not dead.source:
        actions.append(Action("start the server, which makes the directory"))
    if dead.client:
        restart = f"systemctl restart {shell.word(dead.client)}"
        actions.append(Action(f"restart {dead.client}, which mounts it anew", restart))
    else:
        actions.append(Action("restart the client's container, which mounts it anew"))
    caveats = () if dead.server else (f"{_AGAIN}, unless its unit has {_KEPT}",)
    return Remedy(tuple(actions), caveats)
