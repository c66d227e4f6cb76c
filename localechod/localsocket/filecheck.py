"""What has become of a socket's file: what stands at its path now, against what we put there.

Deciding takes no I/O; `stat_path` and `loss` bring what there is to be seen.
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
    """Whether clients that come by the path find our socket, and may do what they should."""

    OURS = "it is our own socket, as we made it"
    CHANGED = "it is our own socket with another owner or mode"
    ANOTHER = "it is something else"
    GONE = "there is nothing"
    HIDDEN = "we may not look"


@dataclass(frozen=True, slots=True)
class File:
    """A socket file: (device, inode) as stat(2) tells them, permission bits, owner.

    uid and gid -1 in what is wanted: any.
    """

    identity: tuple[int, int]
    mode: int
    uid: int
    gid: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Return what stat(2) has told."""
        identity = status.st_dev, status.st_ino
        return cls(identity, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def stat_path(address: Address) -> File | int:
    """Return what a client finds at a path, symbolic links followed as connect(2) does; or errno.

    A link to our own socket leads clients to it, so it is as good as the file itself.
    """
    try:
        status = Path(address.path).stat()
    except OSError as error:
        return error.errno or errno.EIO
    return File.of(status)


def judge(found: File | int, wanted: File) -> FileState:
    """Decide what has become of a socket's file.

    Args:
        found: what `stat_path` returned.
        wanted: what we put there.
    """
    if isinstance(found, int):
        missing = found in {errno.ENOENT, errno.ENOTDIR}
        return FileState.GONE if missing else FileState.HIDDEN
    if found.identity != wanted.identity:
        return FileState.ANOTHER
    owned = wanted.uid in {-1, found.uid} and wanted.gid in {-1, found.gid}
    return FileState.OURS if owned and found.mode == wanted.mode else FileState.CHANGED


def difference(found: File, wanted: File) -> str:
    """Say how a CHANGED file differs: "mode 0600 instead of 0666"."""
    said = []
    if found.mode != wanted.mode:
        said.append(f"mode {found.mode:04o} instead of {wanted.mode:04o}")
    if wanted.uid not in {-1, found.uid}:
        said.append(f"owner {user_name(found.uid)} instead of {user_name(wanted.uid)}")
    if wanted.gid not in {-1, found.gid}:
        said.append(f"group {group_name(found.gid)} instead of {group_name(wanted.gid)}")
    return " and ".join(said)


def loss(file: PinnedEntry) -> str:
    """Say what was done to a file that does not stand at its path any more."""
    if not file.status.st_nlink:
        return "removed"
    return "moved with its directory" if file.is_current() else "renamed"
