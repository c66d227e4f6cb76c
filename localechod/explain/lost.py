"""Listeners that have the name of a path, while the path does not lead to their file.

UNIX_DIAG has the name as the server gave it to bind(2), in its own mount namespace, root directory
and working directory. Any user can bind any name there: a name is a hint about a process, and no
proof of who serves the path.
"""

import os
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from localechod.explain import mounts, netns, units
from localechod.explain.processes import HoldingProcess, holding_processes
from localechod.explain.units import SocketUnit
from localechod.explain.walk import Walk, walk_path
from localechod.localsocket import diag
from localechod.localsocket.diag import DiagSocket

_MOST_ENTRIES = 1000
_MOST_SOCKETS = 10

Place = Literal["gone", "renamed", "covered", "mount namespace", "root directory", "unknown"]


@dataclass(frozen=True, slots=True)
class Lost:
    """A socket that has the name, and another file.

    Attributes:
        uid: the user that made it; None: not known.
        holder: a process that holds it; None where none is visible.
        place: where its file is. "gone": at this path no more, in the client's and the holder's
            common view; "renamed"; "covered": on another file system than the directory is now; or
            what the holder has of its own, in which the path leads to the file; or "unknown".
        path: the present path of a renamed file.
        unit: the holder's service; "" where it has none.
        private_tmp: that service has PrivateTmp=.
        client: the client's service, if that has PrivateTmp=; else "".
        activation: the socket unit, where systemd holds the socket for one.
    """

    uid: int | None
    holder: HoldingProcess | None
    place: Place
    path: bytes = b""
    unit: str = ""
    private_tmp: bool = False
    client: str = ""
    activation: SocketUnit | None = None


def find(name: bytes, pid: int | None, walk: Walk) -> Lost | None:
    """Find a listener of this name; None where there is none.

    Args:
        name: a path. Only an absolute one is looked for.
        pid: the client's process; None: our own.
        walk: the client's, which has led to no listener.
    """
    names = {name} | ({walk.stopped_at} if walk.last and walk.stopped_at else set())
    names = {each for each in names if each.startswith(b"/")}
    end = walk.end

    def ask() -> list[DiagSocket]:
        return [sock for each in sorted(names) for sock in diag.named(each) if accepts(sock)]

    # Root's come first: any user may have made thousands of the others.
    sockets = sorted(_everywhere(ask), key=lambda each: each.uid != 0)[:_MOST_SOCKETS]
    others = [s for s in sockets if end is None or not s.is_bound_to(end.device, end.inode)]
    held, _ = holding_processes(others) if others else ({}, 0)
    found = [_located(each, held[each.inode], pid, walk) for each in others]
    # One whose file is known to be elsewhere tells more than one of which nothing is known.
    return min(found, key=lambda lost: lost.place == "unknown", default=None)


def accepts(each: DiagSocket) -> bool:
    """Whether it has a file, and accepts connections or datagrams."""
    listens = each.type == socket.SOCK_DGRAM or each.state == diag.STATE_LISTEN
    return listens and each.device is not None and not each.is_shut


def _everywhere(ask: Callable[[], list[DiagSocket]]) -> list[DiagSocket]:
    try:
        found, _ = netns.collect(ask)
    except OSError:  # without the kernel's list, nothing is known
        return []
    return list({each.inode: each for part in found for each in part}.values())


def _located(sock: DiagSocket, holders: list[HoldingProcess], pid: int | None, walk: Walk) -> Lost:
    """Find out where the file of a listener is."""
    if not holders:
        return Lost(sock.uid, None, "unknown")
    # systemd holds the sockets of its units, and so does the unit's service. While the unit is not
    # active, what systemd holds is in the service's file descriptor store.
    activation = None
    if any(each.pid == 1 for each in holders) and sock.name:
        found = units.socket_unit(os.fsdecode(sock.name))
        activation = found if found and found.active else None
    holder = min(holders, key=lambda each: (activation is None and each.pid == 1, each.pid))
    place, path = _place(sock, holder.pid, pid or os.getpid(), walk)
    unit = next(filter(None, (units.service_of(each.pid) for each in holders)), "")
    private = place == "mount namespace" and _has_private_tmp(unit, sock.name or b"")
    client = units.service_of(pid) if pid and place == "mount namespace" else ""
    if not _has_private_tmp(client, sock.name or b""):
        client = ""
    return Lost(sock.uid, holder, place, path, unit, private, client, activation)


def _place(sock: DiagSocket, holder: int, client: int, walk: Walk) -> tuple[Place, bytes]:
    theirs, ours = Path("/proc") / str(holder), Path("/proc") / str(client)
    try:
        same_mounts, same_root = (
            (theirs / name).samefile(ours / name) for name in ("ns/mnt", "root")
        )
        if not (same_mounts and same_root) and _leads_to(sock, holder):
            return ("root directory" if same_mounts else "mount namespace"), b""
        # In a view of its own, the file may have been bound in yet another one.
        return _here(sock, client, walk) if same_mounts and same_root else ("unknown", b"")
    except OSError:  # it may not be inspected, or has ended
        return "unknown", b""


def _leads_to(sock: DiagSocket, holder: int) -> bool:
    """Whether the name leads to the socket's file, as its holder sees it."""
    with ExitStack() as closing:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        root = os.open(f"/proc/{holder}/root", flags)
        closing.callback(os.close, root)
        end = walk_path(sock.name or b"", root, root, mounts.table(holder)).end
    return end is not None and sock.is_bound_to(end.device, end.inode)


def _here(sock: DiagSocket, client: int, walk: Walk) -> tuple[Place, bytes]:
    """Find the file of a listener that has the client's mounts and root."""
    complete = walk.end is not None or walk.last
    directory = next((each for each in reversed(walk.steps) if not each.target), None)
    if directory is None or not complete:
        return "gone", b""
    if directory.device != sock.device:
        return "covered", b""
    with suppress(OSError), os.scandir(b"/proc/%d/root" % client + directory.path) as entries:
        for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False):
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISSOCK(status.st_mode) and sock.is_bound_to(sock.device, status.st_ino):
                return "renamed", directory.path.rstrip(b"/") + b"/" + entry.name
    return "gone", b""


def _has_private_tmp(unit: str, name: bytes) -> bool:
    if not unit or not name.startswith((b"/tmp/", b"/var/tmp/")):
        return False
    return units.settings(unit, "PrivateTmp").get("PrivateTmp", "no") != "no"
