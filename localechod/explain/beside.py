"""Listeners beside a path that leads to none: in case that the name is slightly wrong."""

import os
import re
import stat
from dataclasses import dataclass

from localechod.accounts import user_name
from localechod.explain import netns
from localechod.explain.lost import accepts
from localechod.localsocket import diag
from localechod.localsocket.diag import DiagSocket
from localechod.text import escape

_MOST = 3
_ENDING = re.compile(rb"\.(?:sock|socket|s)\Z")
_VERSION = re.compile(rb"[-._]?v?[0-9]+(?:\.[0-9]+)*")
# Directories that are not those of one server.
_SHARED = frozenset((b"/", b"/run", b"/var/run", b"/tmp", b"/var/tmp", b"/dev/shm"))


@dataclass(frozen=True, slots=True)
class Beside:
    """A socket that accepts connections or datagrams, and is at the path of its name.

    Attributes:
        path: the name.
        uid: the user that made it; None: not known.
    """

    path: bytes
    uid: int | None


def find(name: bytes, pid: int | None) -> tuple[Beside, ...]:
    """Find at most three listeners in the client's network namespace, the most similar first.

    Args:
        name: a path. Only an absolute one has others beside it.
        pid: the client's process; None: our own.
    """
    if not name.startswith(b"/"):
        return ()
    try:
        listed = netns.run_inside(pid, diag.sockets)
    except OSError:  # a hint is missing
        return ()
    listening = (each for each in listed if accepts(each) and each.name != name)
    by_path = {each.name: each for each in listening if each.name}
    ranks = {path: _rank(path, name) for path in by_path}
    similar = sorted((rank, path) for path, rank in ranks.items() if rank)
    root = b"" if pid is None else b"/proc/%d/root" % pid
    found = [path for _, path in similar if _is_there(root + path, by_path[path])]
    return tuple(Beside(path, by_path[path].uid) for path in found[:_MOST])


def show(found: tuple[Beside, ...]) -> str:
    """Return the listeners with their users, as a clause; "" for none."""
    shown = (
        f"{escape(each.path)} ({'?' if each.uid is None else user_name(each.uid)})"
        for each in found
    )
    return f"listeners nearby: {', '.join(shown)}" if found else ""


def _rank(path: bytes, name: bytes) -> int:
    """Compare a path with a name: 1 for the most similar one; 0: it is not similar."""
    (directory, base), (other, wanted) = os.path.split(path), os.path.split(name)
    if _stem(base) == _stem(wanted):
        return 1 if directory == other else 2
    return 3 if directory == other and other not in _SHARED else 0


def _stem(base: bytes) -> bytes:
    """Return a file name without its ending and its version."""
    bare = _ENDING.sub(b"", base)
    return _VERSION.sub(b"", bare) or bare


def _is_there(path: bytes, sock: DiagSocket) -> bool:
    """Whether the name of a socket leads to its file."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISSOCK(status.st_mode) and status.st_ino & 0xFFFFFFFF == sock.file_inode
