"""Directories that no other user can exchange: required where root makes a file by its path.

A user who may write to a directory of the path can rename the next one, and put a link in its
place. bind(2) takes no descriptor of a directory, so a check of the file afterwards comes too late:
the socket may be anywhere. So every directory from the root on is opened relative to the one before
it, and checked before a name is looked up in it.
"""

import errno
import os
import stat
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from localechod.errors import LocalechodError
from localechod.text import printable

_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# Symbolic links in one path, as in path_resolution(7).
_LINKS = 40
_ROOT = 0


def open_trusted(
    path: Path, purpose: str, *, owners: Collection[int] = (), sticky: bool = True, hint: str = ""
) -> int:
    """Open a directory, if only root can change where its path leads.

    Every directory has to belong to root, those behind symbolic links too, and no other user may
    write to it. An ACL counts: the group bits of the mode are its mask (acl(5)). In a sticky
    directory, such as /tmp, only root renames what belongs to root; so a directory or link there
    has to be root's.

    Args:
        path: an absolute path.
        purpose: what is made there, for the error.
        owners: users other than root to whom the directory itself may belong.
        sticky: whether sticky directories that everyone may write to are accepted.
        hint: what helps.

    Returns:
        A descriptor with O_PATH.

    Raises:
        LocalechodError: another user could exchange a directory or a link.
        OSError: a directory is missing, or may not be searched; ELOOP.
    """
    walk = _Walk(purpose, sticky=sticky, hint=hint)
    with ExitStack() as undo:
        undo.callback(walk.close)
        walk.follow(path, {_ROOT, *owners})
        return os.dup(walk.here)


class _Walk:
    """The directory that a walk has reached; each one has been checked.

    Attributes:
        here: its descriptor.
    """

    def __init__(self, purpose: str, *, sticky: bool, hint: str) -> None:
        self._purpose = purpose
        self._sticky = sticky
        self._hint = hint
        self._links = 0
        self._shared = False  # whether others may write here
        self._name = Path("/")
        self.here = os.open("/", _FLAGS | os.O_DIRECTORY)

    def follow(self, path: Path, owners: Collection[int]) -> None:
        """Go to a directory, which may belong to these users.

        Raises:
            As `open_trusted` does.
        """
        if path.is_absolute():
            self._enter(os.open("/", _FLAGS | os.O_DIRECTORY), Path("/"), {_ROOT})
        parts = [part for part in path.parts if part != "/"]
        for left, part in zip(range(len(parts) - 1, -1, -1), parts, strict=True):
            self._step(part, {_ROOT} if left else owners)

    def close(self) -> None:
        os.close(self.here)

    def _step(self, part: str, owners: Collection[int]) -> None:
        name = self._name.parent if part == ".." else self._name / part
        try:
            found = os.open(part, _FLAGS, dir_fd=self.here)
        except OSError as error:
            error.filename = str(name)
            raise
        if stat.S_ISLNK(os.fstat(found).st_mode):
            try:
                target = self._target(found, name)
            finally:
                os.close(found)
            self.follow(target, owners)
        else:
            self._enter(found, name, owners)

    def _target(self, link: int, name: Path) -> Path:
        self._links += 1
        if self._links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(name))
        if self._shared and os.fstat(link).st_uid != _ROOT:
            self._refuse(name, os.fstat(link))
        return Path(os.readlink("", dir_fd=link))

    def _enter(self, found: int, name: Path, owners: Collection[int]) -> None:
        """Check a directory, and go there; the descriptor belongs to the walk from now on."""
        os.close(self.here)
        self.here = found
        status = os.fstat(found)
        if not stat.S_ISDIR(status.st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(name))
        writable = status.st_mode & 0o022
        sticky = self._sticky and status.st_mode & stat.S_ISVTX and status.st_uid == _ROOT
        if status.st_uid not in ({_ROOT} if self._shared else owners) or (writable and not sticky):
            self._refuse(name, status)
        self._shared, self._name = bool(writable), name

    def _refuse(self, name: Path, status: os.stat_result) -> None:
        mode = stat.S_IMODE(status.st_mode)
        raise LocalechodError(
            f"{printable(str(name))} is not safe for {self._purpose}: others than root may write "
            f"there (owner {status.st_uid}, mode {mode:04o})",
            self._hint,
        )
