"""The thread whose system call waits: what it means by a path, a name or a descriptor."""

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Self

from localechod.localsocket.address import Address
from localechod.localsocket.peer import command
from localechod.tap import supervision
from localechod.tap.memory import Memory


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

    def origin(self, number: int) -> "Origin":
        """Return its descriptor as one that can be found again after the system call."""
        return Origin(os.dup(self._pidfd), number)

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
        """Tell whether a name in its address is the target's, now, by whatever path."""
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


class Origin:
    """A client's own descriptor of a connection; not a copy, which would keep it open.

    Args:
        pidfd: of its process; owned from now on.
        number: of the descriptor there.
    """

    def __init__(self, pidfd: int, number: int) -> None:
        self._pidfd, self._number = pidfd, number
        self._inode = self._found()

    def close(self) -> None:
        """Forget the process."""
        os.close(self._pidfd)

    def _found(self) -> int:
        descriptor = supervision.take(self._pidfd, self._number)
        try:
            return os.fstat(descriptor).st_ino
        finally:
            os.close(descriptor)

    def reset(self) -> None:
        """Leave a byte unread at the other end, so that its close is a reset for the client.

        A server that ends with unread data does the same (unix(7)). Nothing happens where the
        process has closed the descriptor, or sends nothing more.
        """
        with suppress(OSError):
            descriptor = supervision.take(self._pidfd, self._number)
            with socket.socket(fileno=descriptor) as sock:
                if os.fstat(descriptor).st_ino == self._inode:
                    sock.send(b"\0", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def _process(tid: int) -> int:
    """Return the process of a thread (proc_pid_status(5))."""
    for line in Path(f"/proc/{tid}/status").read_bytes().split(b"\n"):
        if line.startswith(b"Tgid:"):
            return int(line.split()[1])
    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
