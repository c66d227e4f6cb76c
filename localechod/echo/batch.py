"""Many datagrams by two system calls: recvmmsg(2) and sendmmsg(2), which Python does not offer.

What Python takes for each datagram beside the system calls, a tuple, an address, a list of
ancillary data, is as much as they take. Here nothing is done for each of them: the kernel's own
structures are filled once, and what changes from one batch to the next, the lengths, is copied for
all of them at a time, as a memoryview with a stride.
"""

import ctypes
import errno
import mmap
import os
import struct
from collections.abc import Iterable
from itertools import chain

_libc = ctypes.CDLL(None, use_errno=True)
# Without these an address would be passed as an int, and cut to 32 bits.
_recvmmsg, _sendmmsg = _libc.recvmmsg, _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_recvmmsg.argtypes = (*_sendmmsg.argtypes, ctypes.c_void_p)

# The kernel's structures in 32-bit words, the same on every 64-bit machine; recvmmsg(2), readv(2).
# struct mmsghdr: name (2 words), namelen, -, iov (2), iovlen (2), control (2), controllen (2),
# flags, -, len, -.
_HEADER = 16
_NAME, _NAME_LENGTH, _IOV, _IOV_LENGTH, _CONTROL, _CONTROL_LENGTH, _LENGTH = 0, 2, 4, 6, 8, 10, 14
# struct iovec, twice: base and length of the prefix, then of the datagram.
_VECTORS = 8
_PREFIX_LENGTH, _DATA, _DATA_LENGTH = 2, 4, 6
# struct sockaddr_un: the family, then up to 108 bytes of name.
_ADDRESS = 112
_FAMILY = 2
_LONGEST = 110
# struct cmsghdr and struct ucred, as CMSG_SPACE(3) says: passed descriptors find no room beside it.
_ANCILLARY = 32
_UCRED = struct.Struct("=iII")
_UCRED_AT = 16

# A batch keeps so much memory for datagrams, in bytes at most; pages that none has filled cost
# nothing. Fewer than the least would not pay.
_ROOM = 4 << 20
_MOST = 32
_LEAST = 8

_NOW = 0x40  # MSG_DONTWAIT
_SUITS = ctypes.sizeof(ctypes.c_void_p) == ctypes.sizeof(ctypes.c_uint64)


def slots(size: int) -> int:
    """Return how many datagrams of up to `size` bytes fit into a batch; 0: there is none."""
    fitting = min(_ROOM // size, _MOST)
    return fitting if fitting >= _LEAST and _SUITS else 0


class Batch:
    """Datagrams of one socket, received together and answered together.

    Args:
        size: the longest datagram that is received whole, in bytes; `slots` allows it.
        prefix: put before each reply.
    """

    def __init__(self, size: int, prefix: bytes) -> None:
        count = slots(size)
        self._count = count
        self._size = size
        self._received = count
        self._prefix = bytearray(prefix or b"\0")
        self._data = mmap.mmap(-1, count * size)
        self._names = bytearray(count * _ADDRESS)
        self._ancillary = bytearray(count * _ANCILLARY)
        self._vectors = self._lay_out(count, size, len(prefix))
        vectors = _where(self._vectors)
        self._incoming = _headers(count, _where(self._names), vectors + _DATA * 4, 1)
        self._outgoing = _headers(count, _where(self._names), vectors, 2)
        _point(self._incoming, _CONTROL, _HEADER, _where(self._ancillary), _ANCILLARY)
        # What the kernel overwrites with each batch, to be put back by a copy.
        self._fresh = [
            (self._incoming, _NAME_LENGTH, _HEADER, _words([_LONGEST] * count)),
            (self._incoming, _CONTROL_LENGTH, _HEADER, _words([_ANCILLARY] * count)),
            (self._vectors, _DATA_LENGTH, _VECTORS, _words([size] * count)),
        ]
        self._arguments = _where(self._incoming), _where(self._outgoing)

    def receive(self, descriptor: int) -> int:
        """Receive what waits, as far as there is room; return how many.

        Raises:
            OSError: as recvmsg(2), but for EAGAIN, which is none.
        """
        for words, first, stride, fresh in self._fresh:
            words[first : self._received * stride : stride] = fresh[: self._received]
        got: int = _recvmmsg(descriptor, self._arguments[0], self._count, _NOW, None)
        self._received = max(got, 0)
        if got < 0 and ctypes.get_errno() != errno.EAGAIN:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return self._received

    def lengths(self) -> list[int]:
        """Return the bytes of each datagram."""
        return self._incoming[_LENGTH : self._received * _HEADER : _HEADER].tolist()

    def abstract_names(self) -> Iterable[bytes] | None:
        """Return the senders' names, with the leading NUL; None unless all are abstract.

        Of different lengths they count as not all abstract: what unbound clients get from the
        kernel (autobind, unix(7)) has one length, and who chooses names is not in such a hurry.
        """
        end = self._received * _ADDRESS
        lengths = self._incoming[_NAME_LENGTH : self._received * _HEADER : _HEADER].tolist()
        length = lengths[0]
        if length <= _FAMILY or length > _LONGEST or lengths.count(length) != len(lengths):
            return None
        if any(self._names[_FAMILY:end:_ADDRESS]):
            return None
        names = struct.Struct(f"{_FAMILY}x{length - _FAMILY}s{_ADDRESS - length}x")
        return chain.from_iterable(names.iter_unpack(memoryview(self._names)[:end]))

    def datagram(self, slot: int) -> tuple[bytes, tuple[int, int, int], str | bytes | None]:
        """Return one datagram, its sender's pid, uid and gid, and its sender's name.

        The name is as recvmsg(2) gives it in Python: text for a path, bytes for an abstract one.
        """
        header = slot * _HEADER
        start, size = slot * self._size, self._incoming[header + _LENGTH]
        peer = _UCRED.unpack_from(self._ancillary, slot * _ANCILLARY + _UCRED_AT)
        length = self._incoming[header + _NAME_LENGTH]
        name = bytes(self._names[slot * _ADDRESS + _FAMILY : slot * _ADDRESS + length])
        sender = name if name[:1] == b"\0" else os.fsdecode(name.partition(b"\0")[0])
        return self._data[start : start + size], peer, sender or None

    def answer(self, descriptor: int) -> list[tuple[int, int]]:
        """Send each datagram back to its sender, behind the prefix.

        Returns:
            Those that could not be delivered: slot and errno, as sendmsg(2).
        """
        count = self._received
        end = count * _HEADER
        lengths = self._incoming[_LENGTH:end:_HEADER]
        self._vectors[_DATA_LENGTH : count * _VECTORS : _VECTORS] = lengths
        self._outgoing[_NAME_LENGTH:end:_HEADER] = self._incoming[_NAME_LENGTH:end:_HEADER]
        failed = []
        done = 0
        while done < count:
            first = self._arguments[1] + done * _HEADER * 4
            sent: int = _sendmmsg(descriptor, first, count - done, _NOW)
            # It stops at the first that fails, and says why only where that comes first.
            if sent < 0:
                failed.append((done, ctypes.get_errno()))
                sent = 1
            done += sent
        return failed

    def _lay_out(self, count: int, size: int, prefix: int) -> memoryview:
        vectors = _words([0] * count * _VECTORS)
        _point(vectors, 0, _VECTORS, _where(self._prefix), 0)
        vectors[_PREFIX_LENGTH::_VECTORS] = _words([prefix] * count)
        _point(vectors, _DATA, _VECTORS, _where(self._data), size)
        return vectors


def _headers(count: int, names: int, vectors: int, length: int) -> memoryview:
    headers = _words([0] * count * _HEADER)
    _point(headers, _NAME, _HEADER, names, _ADDRESS)
    _point(headers, _IOV, _HEADER, vectors, _VECTORS * 4)
    headers[_IOV_LENGTH::_HEADER] = _words([length] * count)
    return headers


def _words(values: list[int]) -> memoryview:
    return memoryview(bytearray(struct.pack(f"={len(values)}I", *values))).cast("I")


def _where(memory: bytearray | memoryview | mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _point(words: memoryview, first: int, stride: int, address: int, step: int) -> None:
    """Set the pointers that stand at every `stride` words to addresses `step` bytes apart."""
    pointers = words.cast("B").cast("Q")
    for at in range(first // 2, len(pointers), stride // 2):
        pointers[at] = address
        address += step
