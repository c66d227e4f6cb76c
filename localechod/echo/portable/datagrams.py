"""Reads datagrams, for the server to answer."""

import socket
import struct
from collections.abc import Callable, Sequence
from typing import TypeAlias

# A message, its sender's pid, uid and gid, and its sender's name as recvmsg(2) has it in Python.
Datagram: TypeAlias = tuple[bytes, tuple[int, int, int], str | bytes | None]

# As answer_datagrams returns and takes them.
Answered: TypeAlias = tuple[int, int, int, int, Sequence[int], Sequence[Datagram]]
AnswerDatagrams: TypeAlias = Callable[
    [socket.socket, bytes, int, int, int, set[str | bytes], int], Answered
]

# Control data has space for the credentials alone, as in seqpacket.py: the kernel closes passed
# descriptors that do not fit.
_UCRED = struct.Struct("iII")  # pid_t, uid_t, gid_t
_ANCILLARY = socket.CMSG_SPACE(_UCRED.size)

_UNKNOWN = (0, 2**32 - 1, 2**32 - 1)  # no valid ids: they match no list, and own no file


def answer_datagrams(
    sock: socket.socket,
    _prefix: bytes,
    limit: int,
    _most: int,
    slack: int,
    _answered: set[str | bytes],
    _at_once: int,
) -> Answered:
    """Read one datagram, for the caller to answer.

    The compiled function answers ordinary datagrams itself, until it reads one that it leaves to
    the caller, or a reply is not delivered.

    Args:
        sock: a non-blocking datagram socket that asks for credentials (SO_PASSCRED).
        _prefix: put before each reply.
        limit: bytes of the longest datagram to answer; of a longer one, one byte more is read.
        _most: how many datagrams to answer.
        slack: bytes of the send buffer that may be filled, as send_budget.py counts them.
        _answered: gets the names of the senders that are answered.
        _at_once: how many datagrams to read by one system call.

    Returns:
        The number of datagrams that were read and answered, their bytes, the bytes sent, the slack
        that is left, the errno of each reply that was not delivered and of a failed recvmsg(2), and
        the datagrams for the caller to answer. Nothing in either: none waits, or `_most` were
        answered.
    """
    try:
        message, ancillary, _flags, sender = sock.recvmsg(limit + 1, _ANCILLARY)
    except BlockingIOError:
        return 0, 0, 0, slack, (), ()
    except OSError as error:
        return 0, 0, 0, slack, [error.errno or 0], ()
    return 0, 0, 0, slack, (), [(message, _credentials(ancillary), sender)]


def _credentials(ancillary: Sequence[tuple[int, int, bytes]]) -> tuple[int, int, int]:
    """Return the sender's pid, uid and gid.

    A datagram that was sent before SO_PASSCRED was set has none of its own, and the kernel puts
    those of nobody (65534) in their place. With SO_TIMESTAMP its time is the control message.
    """
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid, uid, gid = _UCRED.unpack(data)
            return pid, uid, gid
    return _UNKNOWN
