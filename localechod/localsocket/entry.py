"""A directory entry: an opened directory, a name in it, and the inode that the name leads to.

Every system call looks up a path again, and a user who may write to one of its directories can
replace the file in between. So the directory is opened once, and the file is pinned by an O_PATH
descriptor (open(2)). Through it, the file can be inspected, connected to, and given an owner and
a mode. As long as it is open, no other file can get its inode number.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from localechod.localsocket.address import Address


@dataclass(frozen=True, slots=True)
class PinnedEntry:
    """A directory entry, and the inode that it led to when it was pinned."""

    directory: int
    name: bytes
    descriptor: int

    @property
    def status(self) -> os.stat_result:
        """The status of the pinned inode, whatever its name leads to by now."""
        return os.fstat(self.descriptor)

    @property
    def identity(self) -> tuple[int, int]:
        """(device, inode) as from stat(2)."""
        status = self.status
        return status.st_dev, status.st_ino

    @property
    def diag_identity(self) -> tuple[int, int]:
        """(device, inode) as from UNIX_DIAG: the device is the file system's own.

        On overlayfs with mixed layers and on btrfs, stat(2) returns another one for each layer or
        subvolume. /proc/self/mountinfo has the right one; without /proc, st_dev is used.
        """
        return _diag_identity(self.descriptor)

    @property
    def handle(self) -> str:
        """A path that leads to exactly this inode, for calls that take no descriptor.

        It works after a privilege drop too: a process may always use its own /proc/self/fd.
        """
        return f"/proc/self/fd/{self.descriptor}"

    def is_current(self) -> bool:
        """True while the name still leads to the pinned inode."""
        with suppress(OSError):
            now = os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
            return (now.st_dev, now.st_ino) == self.identity
        return False

    def unlink(self) -> bool:
        """Remove the name if it still leads to the pinned inode; False where it does not.

        No system call does both at once. So a user who may write to the directory could still
        put a file of their own there in between, and lose it.

        Raises:
            OSError: the file exists, and we may not remove it.
        """
        if not self.is_current():
            return False
        os.unlink(self.name, dir_fd=self.directory)
        return True

    def close(self) -> None:
        """Close the descriptor of the inode."""
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """An opened directory and a name that may or may not exist in it."""

    directory: int
    name: bytes

    @classmethod
    def open(cls, address: Address) -> Self:
        """Open the directory of a path.

        Raises:
            OSError: it does not exist, is not a directory, or may not be reached.
        """
        directory, _, name = address.raw.rpartition(b"/")
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        return cls(os.open(directory or b"/", flags), name)

    def pin(self) -> PinnedEntry:
        """Pin the file that has the name; a symbolic link itself, never its target.

        Raises:
            OSError: there is none (FileNotFoundError), or we may not search the directory.
        """
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        return PinnedEntry(
            self.directory, self.name, os.open(self.name, flags, dir_fd=self.directory)
        )

    def close(self) -> None:
        """Close the directory."""
        os.close(self.directory)


def is_socket(path: str | bytes) -> bool:
    """Whether a path leads to a socket that we can see; links are followed."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116 - it may be in bytes
    except (OSError, ValueError):  # ValueError: the path has a NUL byte
        return False


def diag_identity(path: bytes) -> tuple[int, int]:
    """Return `PinnedEntry.diag_identity` of the file that a path leads to; links are followed.

    Raises:
        OSError: it does not exist, or may not be reached.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return _diag_identity(descriptor)
    finally:
        os.close(descriptor)


def _diag_identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return _file_system(descriptor) or status.st_dev, status.st_ino


def _file_system(descriptor: int) -> int | None:
    """Find the device of a descriptor's superblock by its mount (proc_pid_mountinfo(5))."""
    with suppress(OSError):
        fdinfo = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().split()
        mount = fdinfo[fdinfo.index(b"mnt_id:") + 1]
        # Not splitlines(): the kernel does not escape a carriage return in a mount point.
        for line in filter(None, Path("/proc/self/mountinfo").read_bytes().split(b"\n")):
            identifier, _, device, _ = line.split(maxsplit=3)
            if identifier == mount:
                major, _, minor = device.partition(b":")
                return os.makedev(int(major), int(minor))
    return None
