"""The thread whose system call waits: what it means by a path, a name or a descriptor."""

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from localechod.localsocket import diag
from localechod.localsocket.address import Address
from localechod.localsocket.peer import command
from localechod.tap import rights, supervision
from localechod.tap.memory import Memory

_UNCONNECTED = 7  # TCP_CLOSE of net/tcp_states.h


class OtherRightsError(PermissionError):
    """A thread has other rights than this process, which does not connect in its place."""


class Place(NamedTuple):
    """A descriptor of a local socket that is not connected: its number, type, and open(2) flags."""

    number: int
    type: int
    flags: int


class Caller:
    """A thread of the command, or of a process that it started. Use it as a context manager.

    Raises:
        OSError: it may not be looked into (EPERM, EACCES), or has ended.
    """

    def __init__(self, tid: int) -> None:
        if not tid:  # in a pid namespace that is not below ours
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        self._tid = tid
        self.pid = _process(tid)
        self.memory = Memory(tid)
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except OSError:
            self.memory.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.memory.close()
        os.close(self._pidfd)

    def __str__(self) -> str:
        return f"{command(self.pid) or 'a process'} ({self.pid})"

    def socket(self, number: int) -> socket.socket | None:
        """Return its local socket with this number; None if it is anything else.

        Raises:
            OSError: there is none (EBADF), or it may not be taken (EPERM).
        """
        return supervision.take_socket(self._pidfd, number)

    def place(self, number: int) -> Place | None:
        """Describe its descriptor without a copy, for where pidfd_getfd(2) is forbidden.

        Raises:
            OSError: there is none.
        """
        directory = Path(f"/proc/{self._tid}")
        inode = (directory / f"fd/{number}").stat().st_ino
        flags = 0
        for line in (directory / f"fdinfo/{number}").read_bytes().split(b"\n"):
            if line.startswith(b"flags:"):
                flags = int(line.split()[1], 8)
        try:
            found = diag.of_inode(inode)
        except OSError:
            return None
        is_new = found.state == _UNCONNECTED
        return Place(number, found.type, flags) if is_new else None

    def pidfd(self) -> int:
        """Return a new descriptor for its process (pidfd_open(2))."""
        return os.dup(self._pidfd)

    def descriptor(self, number: int) -> int:
        """Return a copy of its descriptor.

        Raises:
            OSError: as for `socket`.
        """
        return supervision.take(self._pidfd, number)

    def located(self, path: bytes) -> bytes:
        """Return a path by which this process finds the file that the thread means."""
        start = b"root" if path.startswith(b"/") else b"cwd"
        return os.fsencode(f"/proc/{self._tid}/") + start + b"/" + path

    def means(self, name: bytes, target: Address) -> bool:
        """Tell whether a name in its address is the target's, now, by whatever path.

        Raises:
            OtherRightsError: it is, and the thread has other rights than this process.
        """
        if not self._finds(name, target):
            return False
        if not rights.are_ours(self._tid):
            raise OtherRightsError(errno.EPERM, os.strerror(errno.EPERM))
        return True

    def _finds(self, name: bytes, target: Address) -> bool:
        if target.is_abstract or name.startswith(b"\0") or not name:
            return name == target.raw and self._same_network()
        try:
            return Path(os.fsdecode(self.located(name))).samefile(target.path)
        except OSError:  # its own connect(2) tells it why
            return False

    def _same_network(self) -> bool:
        with suppress(OSError):
            return Path(f"/proc/{self._tid}/ns/net").samefile("/proc/self/ns/net")
        return False


def _process(tid: int) -> int:
    """Return the process of a thread (proc_pid_status(5))."""
    for line in Path(f"/proc/{tid}/status").read_bytes().split(b"\n"):
        if line.startswith(b"Tgid:"):
            return int(line.split()[1])
    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
