"""One daemon at a time: a file with its pid, locked for as long as the daemon runs.

The same class serves the runtime directory's own lock and ``--pid-file``. flock(2) belongs to the
open file description: it survives the forks of ``--detach`` and the drop of privileges, and the
kernel ends it with the process, however that ends. So there is no stale lock, and nothing is
concluded from a pid that may have been reused.
"""

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import NoReturn

from localechod.errors import LocalechodError
from localechod.localsocket.trusted import open_trusted
from localechod.text import failure, printable


class PidFile:
    """A locked file with a pid in it; make it with :meth:`acquire`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def acquire(
        cls, path: Path, *, directory: int | None = None, owner: int | None = None
    ) -> "PidFile":
        """Open or create the file, lock it and empty it.

        Args:
            path: where; its directory has to exist.
            directory: a descriptor of this directory; None: the path is looked up.
            owner: uid of the owner (the service's, in its own runtime directory); None: the caller.
                Only root may give a file to another user.

        Raises:
            LocalechodError: another process holds the lock (with its pid, where the file has
                it), the file is not safe to write to, or a system call failed.
        """
        try:
            # Mode 0600, not a pid file's usual 0644: flock needs no right to write, so
            # any user that may read the file could hold the lock and keep the daemon from starting.
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            name = path if directory is None else path.name
            descriptor = os.open(name, flags, 0o600, dir_fd=directory)
        except OSError as error:
            _cannot_open(path, error)
        try:
            _check(path, os.fstat(descriptor), {os.geteuid(), 0, owner})
            _lock(path, descriptor)
            if owner is not None:
                # As for the directory: a next start without root can open it too.
                os.fchown(descriptor, owner, -1)
        except OSError as error:
            os.close(descriptor)
            raise LocalechodError(failure("chown", error.errno, path)) from None
        except BaseException:
            os.close(descriptor)
            raise
        lock = cls(path, descriptor)
        lock.empty()  # the pid of a crashed daemon must not pass for ours until ours is written
        return lock

    def write_pid(self) -> None:
        """Write this process's pid; again after each fork, which changes it.

        Raises:
            LocalechodError: the file system is full or gone.
        """
        try:
            self.empty()
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise LocalechodError(failure("write", error.errno, self.path)) from None

    def empty(self) -> None:
        """Remove the pid from the file at the end.

        The file itself stays. The service user may not remove it from a directory of root's, and
        removing a locked file lets a second daemon lock a new one of the same name.
        """
        os.ftruncate(self._descriptor, 0)

    def fileno(self) -> int:
        """Return the descriptor, which has to stay open when the daemon detaches."""
        return self._descriptor

    def close(self) -> None:
        """Release the lock, unless another process shares it."""
        os.close(self._descriptor)


def open_root_owned(directory: Path) -> int:
    """Open a pid file's directory, in which no user but root can create a file.

    A sticky directory such as /tmp is refused: another user may have created a file of that name
    already. For everything else, see trusted.py.

    Returns:
        A descriptor with O_PATH.

    Raises:
        LocalechodError: a directory is missing, or others than root may write to it.
    """
    hint = (
        "a user that can replace the pid file chooses which process root kills later: name "
        "a file in a directory that only root may write to, such as /run"
    )
    try:
        return open_trusted(directory, "a pid file", sticky=False, hint=hint)
    except OSError as error:
        raise LocalechodError(failure("open", error.errno, error.filename)) from None


def _cannot_open(path: Path, error: OSError) -> NoReturn:
    hint = ""
    if error.errno == errno.ELOOP:
        hint = "it is a symbolic link, and those are not followed here: remove it"
    elif error.errno == errno.EACCES and os.access(path, os.F_OK):
        hint = "it belongs to another user's localechod: use another --runtime-dir or --pid-file"
    raise LocalechodError(failure("open", error.errno, path), hint) from None


def _check(path: Path, status: os.stat_result, owners: set[int | None]) -> None:
    # A file that another user has put there could lead the write to any place they choose.
    if not stat.S_ISREG(status.st_mode):
        fault = "is not a regular file"
    elif status.st_nlink != 1:
        fault = f"has {status.st_nlink} names (hard links)"
    elif status.st_uid not in owners:
        fault = f"belongs to uid {status.st_uid}"
    else:
        return
    raise LocalechodError(f"cannot lock {printable(str(path))}: it {fault}", "remove it")


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder, name = _holder(descriptor), printable(str(path))
        raise LocalechodError(
            f"localechod is already running {holder}: {name} is locked",
            "look at it with: localechoctl status",
        ) from None
    except OSError as error:
        raise LocalechodError(failure("flock", error.errno, path)) from None


def _holder(descriptor: int) -> str:
    pid = ""
    with contextlib.suppress(OSError):
        pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return f"with pid {pid}" if pid.isdigit() else "as another process"
