"""The state of a socket's file: a comparison of the file at its path with the one we created.

`stat_path` and `loss` inspect the file; `judge` and `difference` only compare.
"""

import enum
import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from localechod.accounts import group_name, user_name
from localechod.localsocket.address import Address
from localechod.localsocket.entry import PinnedEntry


class FileState(enum.Enum):
    """Whether clients reach our socket by its path, with the intended permissions."""

    OURS = "it is our own socket, as we created it"
    CHANGED = "it is our own socket with another owner or mode"
    ANOTHER = "it is another file"
    GONE = "there is no file"
    HIDDEN = "we may not stat it"


@dataclass(frozen=True, slots=True)
class File:
    """A socket file: (device, inode) as from stat(2), permission bits, owner and group.

    In a wanted file, uid and gid -1 mean any.
    """

    identity: tuple[int, int]
    mode: int
    uid: int
    gid: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Return the file with this status."""
        identity = status.st_dev, status.st_ino
        return cls(identity, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def stat_path(address: Address) -> File | int:
    """Return the file at a path, or the errno; follow symbolic links, as connect(2) does.

    A link to our own socket leads clients to it, so it counts as the socket's file.
    """
    try:
        status = Path(address.path).stat()
    except OSError as error:
        return error.errno or errno.EIO
    return File.of(status)


def judge(found: File | int, wanted: File) -> FileState:
    """Return the state of a socket's file.

    Args:
        found: what `stat_path` returned.
        wanted: the file that we created.
    """
    if isinstance(found, int):
        missing = found in {errno.ENOENT, errno.ENOTDIR}
        return FileState.GONE if missing else FileState.HIDDEN
    if found.identity != wanted.identity:
        return FileState.ANOTHER
    owned = wanted.uid in {-1, found.uid} and wanted.gid in {-1, found.gid}
    return FileState.OURS if owned and found.mode == wanted.mode else FileState.CHANGED


def difference(found: File, wanted: File) -> str:
    """Return how a CHANGED file differs: "mode 0600 instead of 0666"."""
    said = []
    if found.mode != wanted.mode:
        said.append(f"mode {found.mode:04o} instead of {wanted.mode:04o}")
    if wanted.uid not in {-1, found.uid}:
        said.append(f"owner {user_name(found.uid)} instead of {user_name(wanted.uid)}")
    if wanted.gid not in {-1, found.gid}:
        said.append(f"group {group_name(found.gid)} instead of {group_name(wanted.gid)}")
    return " and ".join(said)


def loss(file: PinnedEntry) -> str:
    """Return what happened to a file that is not at its path any more."""
    if not file.status.st_nlink:
        return "removed"
    return "moved with its directory" if file.is_current() else "renamed"
