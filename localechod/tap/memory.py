"""What a waiting system call points to: addresses and messages in another process's memory.

A thread of that process could change its memory while it is read. That harms nobody else: it gets
the connection that this process makes from what it read.
"""

import errno
import os
import socket
import struct
from typing import NamedTuple

_SOCKADDR_UN = 110  # sizeof(struct sockaddr_un)
_FAMILY = struct.Struct("=H")
_MSGHDR = struct.Struct(
    "=QIxxxxQQQQixxxx"
)  # struct msghdr on 64 bits; struct mmsghdr has a length after it
_IOVEC = struct.Struct("=QQ")
_CMSGHDR = struct.Struct("=Qii")
_LONGEST_MESSAGE = 8 << 20
_MOST_PIECES = 1024  # UIO_MAXIOV
_LONGEST_CONTROL = 1 << 16

MMSGHDR_LENGTH = _MSGHDR.size  # the offset of msg_len in struct mmsghdr


class Message(NamedTuple):
    """A message that a process wants to send.

    Attributes:
        name: the address as in sun_path; None if it is not one of a local socket.
        data: the bytes.
        descriptors: numbers of the process's descriptors that it passes along.
    """

    name: bytes | None
    data: bytes
    descriptors: tuple[int, ...] = ()


class Memory:
    """The memory of a process, through one of its threads (proc_pid_mem(5)).

    Raises:
        OSError: at each read: EIO, EFAULT: no such memory; EPERM, EACCES: it may not be read.
    """

    def __init__(self, tid: int) -> None:
        self._file = os.open(f"/proc/{tid}/mem", os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def read(self, address: int, size: int) -> bytes:
        """Return exactly `size` bytes.

        Raises:
            OSError: see the class; a short read is EFAULT, as the system call would have it.
        """
        data = os.pread(self._file, size, address) if size else b""
        if len(data) != size:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        return data

    def write(self, address: int, data: bytes) -> None:
        """Write bytes, such as a result."""
        os.pwrite(self._file, data, address)

    def name(self, address: int, length: int) -> bytes | None:
        """Return the name in a sockaddr; None if it is not one of a local socket.

        A path ends at its first NUL; an abstract name has all bytes of the length (unix(7)).
        """
        if not _FAMILY.size < length <= _SOCKADDR_UN:
            return None
        raw = self.read(address, length)
        if _FAMILY.unpack_from(raw)[0] != socket.AF_UNIX:
            return None
        name = raw[_FAMILY.size :]
        return name if name.startswith(b"\0") else name.partition(b"\0")[0]

    def message(self, address: int) -> Message:
        """Return the message of a struct msghdr (sendmsg(2)).

        Raises:
            OSError: EMSGSIZE where it is larger than any local socket takes; as for `read`.
        """
        name, name_size, pieces, count, control, control_size, _ = _MSGHDR.unpack(
            self.read(address, _MSGHDR.size)
        )
        if count > _MOST_PIECES or control_size > _LONGEST_CONTROL:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        vector = list(_IOVEC.iter_unpack(self.read(pieces, count * _IOVEC.size)))
        if sum(size for _, size in vector) > _LONGEST_MESSAGE:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        return Message(
            self.name(name, name_size) if name else None,
            b"".join(self.read(*piece) for piece in vector),
            _descriptors(self.read(control, control_size) if control else b""),
        )


def _descriptors(control: bytes) -> tuple[int, ...]:
    found: list[int] = []
    while len(control) >= _CMSGHDR.size:
        length, level, kind = _CMSGHDR.unpack_from(control)
        if length < _CMSGHDR.size:
            break
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            body = control[_CMSGHDR.size : length]
            found += struct.unpack(f"={len(body) // 4}i", body[: len(body) // 4 * 4])
        control = control[(length + 7) // 8 * 8 :]
    return tuple(found)
