"""The mounts that a process sees, from /proc/PID/mountinfo (proc_pid_mountinfo(5))."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

# File systems of which a server, on another machine or in another process, may refuse an access.
_WITH_SERVER = ("nfs", "cifs", "smb", "9p", "afs", "coda", "fuse")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount.

    Attributes:
        device: the device of the file system, the same as in UNIX_DIAG.
        root: the path in the file system that is mounted. It ends in "//deleted" where a bind
            mount's source file was removed.
        point: the mount point.
        kind: the type of the file system, unescaped: that of FUSE has a part that its user chose.
        read_only: the file system itself is read-only, not only this mount of it.
        is_locked: the file system or this mount of it is read-only, so no mode can be changed
            through it.
        user: of FUSE without the option allow_other, the uid and gid that may use it, as its user
            namespace has them; None for all users (mount.fuse3(8)).
        default_permissions: of FUSE, the option of that name: the kernel checks the modes.
    """

    device: int
    root: bytes
    point: bytes
    kind: str
    read_only: bool
    is_locked: bool = False
    user: tuple[int, int] | None = None
    default_permissions: bool = False

    @property
    def has_server(self) -> bool:
        """True where more than the modes decides, which stat(2) shows."""
        return self.kind.startswith(_WITH_SERVER)

    @property
    def is_fuse(self) -> bool:
        """True for a file system of another process."""
        return self.kind.startswith("fuse")

    @property
    def hides_binds(self) -> bool:
        """True where a socket may be bound by way of another mount or machine, unseen through this.

        A socket is found by its inode, and these file systems have inodes of their own.
        """
        return self.kind == "overlay" or self.kind.startswith((*_WITH_SERVER, "virtiofs"))

    @property
    def is_deleted(self) -> bool:
        """True for a bind mount whose source file was removed from its directory."""
        return self.root.endswith(b"//deleted")


def table(pid: int) -> dict[int, Mount]:
    """Return the mounts that a process sees, by mount id.

    Raises:
        OSError: the process has ended or is hidden.
    """
    return parse((Path("/proc") / str(pid) / "mountinfo").read_bytes())


def parse(text: bytes) -> dict[int, Mount]:
    """Parse a mountinfo file."""
    found = {}
    # Not splitlines(): the kernel does not escape a carriage return in a mount point.
    for line in filter(None, text.split(b"\n")):
        front, _, back = line.partition(b" - ")
        number, _, device, root, point, own = front.split(b" ")[:6]
        kind, _, options = back.split(b" ", 2)
        major, _, minor = device.partition(b":")
        words = options.split(b" ")[-1].split(b",")
        read_only = b"ro" in words
        found[int(number)] = Mount(
            device=os.makedev(int(major), int(minor)),
            root=_unescaped(root),
            point=_unescaped(point),
            kind=kind.decode("ascii", "replace"),
            read_only=read_only,
            is_locked=read_only or b"ro" in own.split(b","),
            user=_user(words) if kind.startswith(b"fuse") else None,
            default_permissions=b"default_permissions" in words,
        )
    return found


def _user(options: list[bytes]) -> tuple[int, int] | None:
    values = dict(each.partition(b"=")[::2] for each in options)
    if b"allow_other" in values or b"user_id" not in values:
        return None
    return int(values[b"user_id"]), int(values.get(b"group_id", b"0"))


def of_descriptor(descriptor: int, mounts: dict[int, Mount]) -> Mount | None:
    """Return the mount through which a file was opened; None where it is not in the table."""
    fields = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes().split()
    return mounts.get(int(fields[fields.index(b"mnt_id:") + 1]))


def _unescaped(text: bytes) -> bytes:
    r"""Undo the kernel's escapes: a space is written as "\040", and so on."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), text)
