"""A minimal netlink client: send one request, and read the whole reply (netlink(7))."""

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

# linux/netlink.h
_NLM_F_REQUEST, _NLM_F_MULTI, _NLM_F_DUMP_INTR, _NLM_F_DUMP = 0x1, 0x2, 0x10, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type

_READ_SIZE = 65536  # the kernel fills at most 32 KiB at a time
_SECONDS = 5  # for a whole reply; a host with 100,000 sockets needs a fraction of it
_TIMEVAL = struct.Struct("@ll")  # seconds and microseconds


class NetlinkSocket:
    """A socket to one netlink family; it sends one request at a time."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )
        # settimeout would add two system calls to each read.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL.pack(_SECONDS, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def ask(
        self, kind: int, question: bytes, *, dump: bool, only: tuple[int, int] | None = None
    ) -> Iterator[bytes]:
        """Send one request and yield the payload of each message of the reply.

        Args:
            kind: the message type.
            question: the request after the netlink header.
            dump: True for a list (it ends with a message that says so), False for one record.
            only: see `split`.

        Raises:
            InterruptedError: the list changed while the kernel read it. It is raised at the end of
                the list, so that the same socket can send the request again.
            TimeoutError: the reply was not complete after five seconds, or a part took as long.
            OSError: the error that the kernel replied, or a malformed reply (EBADMSG).
        """
        flags = _NLM_F_REQUEST | _NLM_F_DUMP if dump else _NLM_F_REQUEST
        header = _HEADER.pack(_HEADER.size + len(question), kind, flags, 0, 0)
        self._socket.sendto(header + question, (0, 0))
        interrupted = False
        for kind_, flags, payload in self._messages(only):
            interrupted = interrupted or bool(flags & _NLM_F_DUMP_INTR)
            if kind_ in {_NLMSG_ERROR, _NLMSG_DONE}:
                _raise_if_failed(payload)
                break
            yield payload
            if not flags & _NLM_F_MULTI:
                break
        if interrupted:
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))

    def _messages(self, only: tuple[int, int] | None) -> Iterator[tuple[int, int, bytes]]:
        deadline = time.monotonic() + _SECONDS
        with suppress(BlockingIOError):
            while time.monotonic() < deadline:
                yield from split(self._socket.recv(_READ_SIZE), only)
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def split(datagram: bytes, only: tuple[int, int] | None = None) -> Iterator[tuple[int, int, bytes]]:
    """Yield (type, flags, payload) of each message of one read.

    Args:
        datagram: what was read.
        only: an offset in the payload and a byte. Records with another byte there are skipped,
            which takes a fraction of the time.
    """
    start, size = 0, len(datagram)
    at, byte = (_HEADER.size + only[0], only[1]) if only else (0, 0)
    while size - start >= _HEADER.size:
        length, kind, flags, _, _ = _HEADER.unpack_from(datagram, start)
        is_record = kind > _NLMSG_DONE and at < length <= size - start
        if only and is_record and datagram[start + at] != byte:
            start += (length + 3) & ~3
            continue
        yield kind, flags, _cut(datagram, start, _HEADER.size, length)
        start += _aligned(length)


def attributes(payload: bytes) -> dict[int, bytes]:
    """Return the attributes at the end of a message: {type: value}."""
    found = {}
    start, size = 0, len(payload)
    while size - start >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(payload, start)
        found[kind] = _cut(payload, start, ATTRIBUTE.size, length)
        start += _aligned(length)
    return found


def _cut(whole: bytes, start: int, header: int, length: int) -> bytes:
    """Return one record without its header; a length of 0 would cause an endless loop."""
    if not header <= length <= len(whole) - start:
        raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
    return whole[start + header : start + length]


def _raise_if_failed(payload: bytes) -> None:
    """Raise the error of an error message or of a list's end: a negated errno, 0 for success."""
    number = -struct.unpack_from("=i", payload)[0]
    if number:
        raise OSError(number, os.strerror(number))


def _aligned(length: int) -> int:
    """Round up a length: messages and attributes are padded to four bytes."""
    return (length + 3) & ~3
