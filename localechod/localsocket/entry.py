"""Where a socket file stands: an opened directory, a name in it, and the inode behind the name.

A path is looked up anew by every system call, and whoever may write to one of its directories
can exchange what it leads to in between. So the directory is opened once, and what stands there
is pinned by an O_PATH descriptor (open(2)): it says what the file is, it can be connected to and
given an owner and a mode, and as long as it is open no other file can get its inode number.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from localechod.localsocket.address import Address


@dataclass(frozen=True, slots=True)
class PinnedEntry:
    """A directory entry and the inode that it led to when it was looked at."""

    directory: int
    name: bytes
    descriptor: int

    @property
    def status(self) -> os.stat_result:
        """What the pinned inode is, whatever stands under its name now."""
        return os.fstat(self.descriptor)

    @property
    def identity(self) -> tuple[int, int]:
        """(device, inode) as stat(2) tells them."""
        status = self.status
        return status.st_dev, status.st_ino

    @property
    def diag_identity(self) -> tuple[int, int]:
        """(device, inode) as UNIX_DIAG tells them: the device is the file system's own.

        On overlayfs with mixed layers and on btrfs, stat(2) makes up another one for each layer
        or subvolume. /proc/self/mountinfo has the true one; without /proc, st_dev has to do.
        """
        return _file_system(self.descriptor) or self.status.st_dev, self.status.st_ino

    @property
    def handle(self) -> str:
        """A path that leads to this very inode, for calls that take no descriptor.

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

        There is no system call that does both at once, so somebody who may write to the
        directory could still squeeze a file of their own in between, and lose it.

        Raises:
            OSError: the file is there, and we may not remove it.
        """
        if not self.is_current():
            return False
        os.unlink(self.name, dir_fd=self.directory)
        return True

    def close(self) -> None:
        """Let go of the inode."""
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
            OSError: it does not exist, is no directory, or lies where we may not go.
        """
        directory, _, name = address.raw.rpartition(b"/")
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        return cls(os.open(directory or b"/", flags), name)

    def pin(self) -> PinnedEntry:
        """Pin what stands there; a symbolic link itself, never what it points to.

        Raises:
            OSError: nothing stands there (FileNotFoundError), or we may not enter the directory.
        """
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        return PinnedEntry(
            self.directory, self.name, os.open(self.name, flags, dir_fd=self.directory)
        )

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self.directory)


def _file_system(descriptor: int) -> int | None:
    """Find the device of a descriptor's superblock by its mount (proc_pid_mountinfo(5))."""
    with suppress(OSError):
        fdinfo = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().split()
        mount = fdinfo[fdinfo.index(b"mnt_id:") + 1]
        for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
            identifier, _, device, _ = line.split(maxsplit=3)
            if identifier == mount:
                major, _, minor = device.partition(b":")
                return os.makedev(int(major), int(minor))
    return None
