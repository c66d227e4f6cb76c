"""Path resolution, one component at a time, as the kernel does it (path_resolution(7)).

Every directory is opened with O_PATH relative to the one before. So a path that begins at another
process's root follows that process's mounts, without entering its mount namespace. This module
makes no permission check; `path_checks` does. The walk ends with a failure where we ourselves lack
permission.
"""

import errno
import os
import stat
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, replace

from localechod.explain import magic_links, mounts
from localechod.explain.inode import Acl, Node, parse_acl
from localechod.explain.magic_links import Owner
from localechod.explain.mounts import Mount

_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MAXSYMLINKS = 40  # linux/namei.h
_PROC_ROOT_INO = 1  # linux/proc_ns.h


@dataclass(frozen=True, slots=True)
class Step:
    """One inode of the walk: a directory in which a name is looked up, a link, or the end.

    Attributes:
        path: the path up to here, unescaped.
        target: the target of a symbolic link; b"" otherwise.
        parent: the directory of a link that is the last component of its path, for
            fs.protected_symlinks; None otherwise.
        has_acls: its file system has POSIX ACLs.
        ours: the path by which our own processes change its mode; b"" where none does.
        owner: of a link in /proc/PID, the process; None otherwise.
    """

    path: bytes
    node: Node
    mount: Mount | None
    inode: int = 0
    device: int = 0
    target: bytes = b""
    parent: Node | None = None
    has_acls: bool = True
    ours: bytes = b""
    owner: Owner | None = None

    @property
    def key(self) -> tuple[int, int]:
        """The identity of the inode."""
        return self.device, self.inode


@dataclass(frozen=True, slots=True)
class Walk:
    """The result of a path resolution.

    Attributes:
        steps: directories and links, in the kernel's order.
        end: the file that the path leads to; None where the walk ended before.
        number: the errno of the lookup: 0, ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG.
        stopped_at: the path up to the component where the walk ended early.
        last: whether the walk ended at the last component.
        failure: why we ourselves could not go on, or "".
        closed: the mount whose root we may not even inspect, where that is the failure.
    """

    steps: tuple[Step, ...]
    end: Step | None = None
    number: int = 0
    stopped_at: bytes = b""
    last: bool = False
    failure: str = ""
    closed: Mount | None = None


def walk_path(path: bytes, root: int, start: int, known: dict[int, Mount]) -> Walk:
    """Resolve a path, and return every inode on it.

    Args:
        path: absolute, or relative to `start`.
        root: a descriptor of the root directory to use.
        start: a descriptor of the working directory to use.
        known: the mounts of the process whose view it is, by mount id.
    """
    with ExitStack() as closing:
        return _Walker(root, start, known, closing).go(path)


class _EndedError(Exception):
    """The walk ends early; args: the errno (or why we could not go on), the path, the mount."""


class _Walker:
    def __init__(self, root: int, start: int, known: dict[int, Mount], closing: ExitStack) -> None:
        self._root, self._known, self._closing = root, known, closing
        # Directories from the first to the current one, with their paths, for "..".
        self._stack = [(start, b"")]
        self._pending: deque[bytes] = deque()
        self._steps: list[Step] = []
        self._links = 0

    def go(self, path: bytes) -> Walk:
        try:
            end = self._go(path)
        except _EndedError as ended:
            cause, where, *mount = ended.args
            if isinstance(cause, str):
                closed = mount[0] if mount else None
                return Walk(tuple(self._steps), stopped_at=where, failure=cause, closed=closed)
            last = not self._pending
            return Walk(tuple(self._steps), number=cause, stopped_at=where, last=last)
        return Walk(tuple(self._steps), end)

    def _go(self, path: bytes) -> Step:
        pending = self._pending
        must_be_directory = self._begin(path)
        end: int | None = None
        while pending:
            name = pending.popleft()
            here, shown = self._stack[-1]
            self._steps.append(self._step(here, shown or b"."))
            if name == b".":
                continue
            if name == b"..":
                self._ascend()
                continue
            where = shown + (b"" if shown in {b"", b"/"} else b"/") + name
            found, step = self._look_up(name, here, where)
            if stat.S_ISLNK(step.node.mode):
                last = not pending
                target = self._follow(found, step, last=last)
                directory = self._begin(target)
                must_be_directory = must_be_directory or (last and directory)
            elif stat.S_ISDIR(step.node.mode):
                self._stack.append((found, where))
            elif pending or must_be_directory:
                raise _EndedError(errno.ENOTDIR, where)
            else:
                end, shown = found, where
        if end is None:
            end, shown = self._stack[-1]
        return self._step(end, shown or b".")

    def _look_up(self, name: bytes, here: int, where: bytes) -> tuple[int, Step]:
        """Open a component. It is a symbolic link only if the rest of the path follows from it."""
        found = self._open(name, here, where)
        step = self._step(found, where)
        if not stat.S_ISLNK(step.node.mode):
            return found, step
        self._links += 1
        if self._links > _MAXSYMLINKS:
            raise _EndedError(errno.ELOOP, where)
        if step.mount is None or step.mount.kind != "proc":
            return found, step
        found = self._jump(name, here, step)
        self._stack = []  # ".." leads to the real parent of the directory
        return found, self._step(found, where)

    def _begin(self, path: bytes) -> bool:
        """Put a path before the pending components; return whether it must be a directory."""
        if path.startswith(b"/"):
            self._stack = [(self._root, b"/")]
        self._pending.extendleft(reversed([name for name in path.split(b"/") if name]))
        return path.endswith(b"/")

    def _ascend(self) -> None:
        here, shown = self._stack[-1]
        if len(self._stack) > 1:
            self._stack.pop()
        elif not os.path.sameopenfile(here, self._root):
            above = shown + (b"/.." if shown else b"..")
            self._stack = [(self._open(b"..", here, above), above)]

    def _open(self, name: bytes, directory: int, where: bytes) -> int:
        try:
            descriptor = os.open(name, _FLAGS, dir_fd=directory)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}:
                raise _EndedError(error.errno, where) from None
            raise _EndedError(_reason(error), where) from None
        self._closing.callback(os.close, descriptor)
        return descriptor

    def _follow(self, link: int, step: Step, *, last: bool) -> bytes:
        target = os.readlink(b"", dir_fd=link)
        parent = self._step(self._stack[-1][0], b"").node if last else None
        self._steps.append(replace(step, target=target, parent=parent))
        return target

    def _jump(self, name: bytes, here: int, step: Step) -> int:
        """Follow a link of a process in /proc: the file to which the kernel jumps has no path."""
        owner = None if os.fstat(here).st_ino == _PROC_ROOT_INO else magic_links.owner(here)
        if owner is None:
            raise _EndedError("a link in /proc has another target for each process", step.path)
        self._steps.append(replace(step, owner=owner))
        try:
            descriptor = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=here)
        except OSError as error:
            raise _EndedError(_reason(error), step.path) from None
        self._closing.callback(os.close, descriptor)
        self._known = mounts.parse(magic_links.mountinfo(here)) | self._known
        return descriptor

    def _step(self, descriptor: int, shown: bytes) -> Step:
        try:
            status = os.fstat(descriptor)
        except OSError as error:  # FUSE: only its owner may stat it, or its server has ended
            closed = mounts.of_descriptor(descriptor, self._known)
            raise _EndedError(_reason(error), shown, closed) from None
        link = stat.S_ISLNK(status.st_mode)
        acl, has_acls = (None, False) if link else _acl(descriptor, shown)
        node = Node(status.st_mode, status.st_uid, status.st_gid, acl)
        mount = mounts.of_descriptor(descriptor, self._known)
        device = mount.device if mount else status.st_dev
        return Step(shown, node, mount, status.st_ino, device, has_acls=has_acls)


def _reason(error: OSError) -> str:
    return f"{error.strerror} ({error.errno})"


def _acl(descriptor: int, shown: bytes) -> tuple[Acl | None, bool]:
    """Return the ACL, and whether the file system has any."""
    try:
        # By path, because fgetxattr(2) refuses an O_PATH descriptor.
        packed = os.getxattr(f"/proc/self/fd/{descriptor}", "system.posix_acl_access")
    except OSError as error:  # ENODATA: no ACL; EOPNOTSUPP: the file system has no ACLs
        return None, error.errno == errno.ENODATA
    try:
        return parse_acl(packed), True
    except ValueError as error:
        raise _EndedError(str(error), shown) from None
