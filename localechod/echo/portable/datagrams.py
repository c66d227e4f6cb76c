"""Reads datagrams, for the server to answer."""

import socket
import struct
from collections.abc import Callable, Sequence
from typing import TypeAlias

from localechod.echo.portable.proof import Proof

# A message, its sender's pid, uid and gid, and its sender's name as recvmsg(2) has it in Python;
# when it was sent, in seconds of time.time(), or 0.0.
Datagram: TypeAlias = tuple[bytes, tuple[int, int, int], str | bytes | None, float]

# As answer_datagrams returns and takes them.
Answered: TypeAlias = tuple[int, int, int, int, Sequence[int], Sequence[Datagram]]
Names: TypeAlias = set[str | bytes]
Renew: TypeAlias = Callable[[bytes, int], None]
AnswerDatagrams: TypeAlias = Callable[
    [socket.socket, bytes, int, int, int, Names, int, Names, dict[bytes, Proof], float, Renew],
    Answered,
]

# Control data has space for these alone, and for the time only where it comes, first: the kernel
# closes passed descriptors that do not fit, as in seqpacket.py. To close them here could block, as
# their file systems choose.
_UCRED = struct.Struct("iII")  # pid_t, uid_t, gid_t
_TIMESPEC = struct.Struct("ll")
UNSTAMPED = socket.CMSG_SPACE(_UCRED.size)
STAMPED = socket.CMSG_SPACE(_TIMESPEC.size) + UNSTAMPED

# asm-generic/socket.h. Each datagram then has the time at which it was sent; socket(7).
SO_TIMESTAMPNS = 35

_UNKNOWN = (0, 2**32 - 1, 2**32 - 1)  # no valid ids: they match no list, and own no file


def answer_datagrams(
    sock: socket.socket,
    _prefix: bytes,
    limit: int,
    _most: int,
    slack: int,
    _answered: Names,
    _at_once: int,
    _ours: Names,
    _proofs: dict[bytes, Proof],
    fresh: float,
    _renew: Renew,
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
        _ours: the names of our own endpoints, which are not answered.
        _proofs: of senders, by name; see datagram/proven_senders.py.
        fresh: seconds within which a datagram is answered without a proof; negative where the
            socket has no SO_TIMESTAMPNS.
        _renew: called with the name and the uid of a connected client whose proof has ended.

    Returns:
        The number of datagrams that were read and answered, their bytes, the bytes sent, the slack
        that is left, the errno of each reply that was not delivered and of a failed recvmsg(2), and
        the datagrams for the caller to answer. Nothing in either: none waits, or `_most` were
        answered.
    """
    try:
        message, ancillary, _flags, sender = sock.recvmsg(
            limit + 1, UNSTAMPED if fresh < 0 else STAMPED
        )
    except BlockingIOError:
        return 0, 0, 0, slack, (), ()
    except OSError as error:
        return 0, 0, 0, slack, [error.errno or 0], ()
    peer, sent_at = control(ancillary)
    return 0, 0, 0, slack, (), [(message, peer, sender, sent_at)]


def control(
    ancillary: Sequence[tuple[int, int, bytes]],
) -> tuple[tuple[int, int, int], float]:
    """Return the sender's pid, uid and gid, and when it sent.

    A datagram that was sent before SO_PASSCRED was set has no credentials, and the kernel puts
    those of nobody (65534) in their place. With SO_TIMESTAMP another time comes first.
    """
    peer, sent_at = _UNKNOWN, 0.0
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            peer = _UCRED.unpack(data)
        elif (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            sent_at = seconds + nanoseconds / 1e9
    return peer, sent_at
