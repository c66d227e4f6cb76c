"""The paths by which our own processes change the files that a client meets.

A client in a container has other paths, or only a read-only mount of a file that its host can
change. A command of a remedy has the path that is good here.
"""

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from localechod.explain import mounts
from localechod.explain.mounts import Mount
from localechod.explain.walk import Step, Walk, walk_path


def resolve(name: bytes, pid: int | None) -> Walk:
    """Resolve a path as a process does, and add to each inode the path by which we change it.

    Args:
        name: the path.
        pid: the process whose root, working directory and mounts to use; None: our own.

    Raises:
        OSError: the process has ended or is hidden.
    """
    process = "self" if pid is None else str(pid)
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    with ExitStack() as closing:
        root, start = (os.open(f"/proc/{process}/{each}", flags) for each in ("root", "cwd"))
        closing.callback(os.close, root)
        closing.callback(os.close, start)
        walk = walk_path(name, root, start, mounts.table(pid or os.getpid()))
    ours = mounts.table(os.getpid())
    same = pid is None or _same_view(pid)

    def located(step: Step) -> Step:
        return replace(step, ours=_place(step, None if same else pid, pid, ours))

    end = walk.end and located(walk.end)
    return replace(walk, steps=tuple(map(located, walk.steps)), end=end)


def _same_view(pid: int) -> bool:
    theirs, own = Path("/proc") / str(pid), Path("/proc/self")
    return all((theirs / name).samefile(own / name) for name in ("ns/mnt", "root"))


def _place(step: Step, root: int | None, start: int | None, ours: dict[int, Mount]) -> bytes:
    """Find the path; b"" where there is none.

    Args:
        step: the inode.
        root: the process whose root an absolute path begins at; None: our own.
        start: the process whose working directory a relative path begins at; None: our own.
        ours: the mounts that we see, by mount id.
    """
    absolute = step.path.startswith(b"/")
    process = root if absolute else start
    locked = step.mount is not None and step.mount.is_locked
    if process is None and not locked:
        return step.path
    if absolute and (found := _through_our_mounts(step, ours)):
        return found
    if locked:
        return b""
    return b"/proc/%d/%s" % (process or 0, b"root" if absolute else b"cwd/") + step.path


def _through_our_mounts(step: Step, ours: dict[int, Mount]) -> bytes:
    """Find the inode below a mount of ours that can be changed."""
    theirs = step.mount
    if theirs is None or not (inner := _below(step.path, theirs.point)):
        return b""
    there = _joined(theirs.root, inner)
    for mount in ours.values():
        rest = _below(there, mount.root) if mount.device == theirs.device else b""
        if rest and not mount.is_locked:
            path = _joined(mount.point, rest)
            if _is_inode(path, step, mount, ours):
                return path
    return b""


def _joined(directory: bytes, rest: bytes) -> bytes:
    return (directory.rstrip(b"/") + rest).rstrip(b"/") or b"/"


def _below(path: bytes, directory: bytes) -> bytes:
    """Return the rest of a path below a directory, from its slash on; b"" if it is not below."""
    if directory == b"/":
        return path
    if path == directory:
        return b"/"
    return path.removeprefix(directory) if path.startswith(directory + b"/") else b""


def _is_inode(path: bytes, step: Step, mount: Mount, ours: dict[int, Mount]) -> bool:
    """Whether a path of ours leads to this inode, and through this mount, not one above it."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        same = os.fstat(descriptor).st_ino == step.inode
        return same and mounts.of_descriptor(descriptor, ours) is mount
    finally:
        os.close(descriptor)
