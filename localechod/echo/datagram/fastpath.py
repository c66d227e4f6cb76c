"""Datagrams off a socket and the plain ones back to their senders: compiled, or in Python.

The compiled part (_fastpath_datagrams.c) answers by itself what needs no thought, and hands over
the rest. Python hands over everything.
"""

import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from localechod.echo.fastpath import COMPILED, LONGEST_READ

# A message, its sender's pid, uid and gid, and its sender's name as recvmsg(2) has it in Python.
Datagram: TypeAlias = tuple[bytes, tuple[int, int, int], str | bytes | None]

# Room for the credentials alone, as in seqpacket.py, so that passed descriptors find none and are
# closed by the kernel.
_UCRED = struct.Struct("iII")  # pid_t, uid_t, gid_t
_ANCILLARY = socket.CMSG_SPACE(_UCRED.size)

Answered: TypeAlias = tuple[int, int, int, int, int | Datagram | None]
Answerer: TypeAlias = Callable[[socket.socket, bytes, int, int, int, set[str | bytes]], Answered]


def _answer(
    sock: socket.socket,
    _prefix: bytes,
    limit: int,
    _most: int,
    slack: int,
    _answered: set[str | bytes],
) -> Answered:
    """Answer datagrams that wait, until one needs more thought.

    Args:
        sock: a datagram socket that asks for credentials (SO_PASSCRED).
        prefix: put before each reply.
        limit: the longest datagram to be answered, in bytes; of a longer one, one more is read.
        most: how many to answer.
        slack: bytes of the send buffer that may be filled, as send_budget.py counts them.
        answered: the names of those who are answered are added.

    Returns:
        How many were read for an answer, the bytes of these, the bytes sent, the slack that is
        left, and why it ended: a datagram for the caller to answer, the errno of a reply that was
        not delivered, or None: nothing waits, or there were as many as asked for.

    Raises:
        OSError: as recvmsg(2), but for EAGAIN.
    """
    try:
        message, ancillary, _flags, sender = sock.recvmsg(limit + 1, _ANCILLARY)
    except BlockingIOError:
        return 0, 0, 0, slack, None
    # The credentials come first. A datagram that was sent before SO_PASSCRED was set has none of
    # its own, and the kernel puts nobody's (65534) in their place.
    return 0, 0, 0, slack, (message, _UCRED.unpack(ancillary[0][2]), sender)


_compiled: Answerer = _answer
if COMPILED:
    with suppress(ImportError):
        from localechod.echo import _fastpath_datagrams

        _compiled = _fastpath_datagrams.answer


def answerer(limit: int) -> Answerer:
    """Return what answers datagrams of up to so many bytes; see `_answer`."""
    return _compiled if limit < LONGEST_READ else _answer
