"""The loop that calls a callback for each ready descriptor, compiled where possible.

The compiled loop (_fastpath.c, _fastpath_datagrams.c) also reads, answers and counts ordinary
messages, and returns anything else to Python. In the build without it stream/framed.py,
stream/seqpacket.py and datagram/server.py answer all messages, with the same result.
docs/performance.md has the measurements. With LOCALECHOD_PURE_PYTHON in the environment the
compiled part is not loaded.
"""

import os
import select
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

__all__ = ["CHUNKS", "COMPILED", "LINES", "LONGEST_PREFIX", "LONGEST_READ", "PYTHON", "SEQPACKET"]
__all__ += ["AnswerDatagrams", "Callback", "Flow", "datagram_function", "dispatch"]

# The compiled part has the values below in _fastpath.h; a test compares them.

# The kind of a flow: what one message is, as far as the compiled loop can serve it.
PYTHON = 0  # the compiled loop does not serve this flow
CHUNKS = 1  # the bytes of one read, sent back unchanged
LINES = 2  # complete lines
SEQPACKET = 3  # the bytes of one read; the kernel keeps the boundaries

# Bytes of the longest read and of the longest prefix: the sizes of the compiled part's buffers.
LONGEST_READ = 1 << 17
LONGEST_PREFIX = 1024

# Called with the events that are ready (epoll_ctl(2)); returns how many events it counts for, or
# None for one.
Callback = Callable[[int], int | None]

# A message, its sender's pid, uid and gid, and its sender's name as recvmsg(2) has it in Python.
Datagram: TypeAlias = tuple[bytes, tuple[int, int, int], str | bytes | None]

# As _answer_datagrams returns and takes them.
Answered: TypeAlias = tuple[int, int, int, int, int | Datagram | None]
AnswerDatagrams: TypeAlias = Callable[
    [socket.socket, bytes, int, int, int, set[str | bytes]], Answered
]

# Control data has space for the credentials alone, as in seqpacket.py: the kernel closes passed
# descriptors that do not fit.
_UCRED = struct.Struct("iII")  # pid_t, uid_t, gid_t
_ANCILLARY = socket.CMSG_SPACE(_UCRED.size)


class Flow:
    """The part of a connection that the compiled loop knows.

    Attributes:
        kind: CHUNKS, LINES or SEQPACKET while nothing is unsent or incomplete, and no setting takes
            Python (`_fast_kind` of the connection); else PYTHON.
        read_size, limit: bytes of one read, and of the longest message.
        prefix: put before each reply.
        slot_byte: the state byte of the connection's crash slot, or None; see crash_slots.py.
        atomic_size: bytes of the longest reply that is sent whole or not at all; see there.
        fast_messages: messages that the compiled loop has answered.
        received, sent: bytes, whichever loop has read and written them.
        accepted_at, active_at: when the connection was accepted, and when it last read or wrote;
            monotonic seconds.
    """

    __slots__ = (
        *("active_at", "fd", "kind", "limit", "prefix", "read_size"),
        *("received", "fast_messages", "sent", "accepted_at", "atomic_size", "slot_byte"),
    )

    fd: int
    limit: int
    read_size: int
    accepted_at: float
    active_at: float

    def __init__(self) -> None:
        self.kind = PYTHON
        self.prefix = b""
        self.slot_byte: memoryview | None = None
        self.atomic_size = sys.maxsize
        self.fast_messages = self.received = self.sent = 0


def dispatch(epoll: select.epoll, callbacks: dict[int, Callback], batch: int, _now: float) -> int:
    """Call the callbacks of the descriptors that are ready.

    Args:
        epoll: watches these descriptors.
        callbacks: by descriptor.
        batch: how many to call at most.

    Returns:
        How many events there were.
    """
    served = 0
    for fd, events in epoll.poll(0, batch):
        # An earlier callback of this batch may have closed this descriptor. If its number has been
        # reused already, the new connection gets one event too many, reads EAGAIN, and waits.
        callback = callbacks.get(fd)
        more = callback(events) if callback is not None else None
        served += 1 if more is None else more
    return served


def _answer_datagrams(
    sock: socket.socket,
    _prefix: bytes,
    limit: int,
    _most: int,
    slack: int,
    _answered: set[str | bytes],
) -> Answered:
    """Read one datagram, for the caller to answer.

    The compiled function answers ordinary datagrams itself, until the caller has to handle one.

    Args:
        sock: a non-blocking datagram socket that asks for credentials (SO_PASSCRED).
        _prefix: put before each reply.
        limit: bytes of the longest datagram to answer; of a longer one, one byte more is read.
        _most: how many datagrams to answer.
        slack: bytes of the send buffer that may be filled, as send_budget.py counts them.
        _answered: gets the names of the senders that are answered.

    Returns:
        The number of datagrams that were read and answered, their bytes, the bytes sent, the slack
        that is left, and why it ended: a datagram for the caller to handle; the errno of a reply
        that was not delivered; or None, if none waits or `_most` were answered.

    Raises:
        OSError: as recvmsg(2), but for EAGAIN.
    """
    try:
        message, ancillary, _flags, sender = sock.recvmsg(limit + 1, _ANCILLARY)
    except BlockingIOError:
        return 0, 0, 0, slack, None
    # The credentials come first. A datagram that was sent before SO_PASSCRED was set has none of
    # its own, and the kernel puts those of nobody (65534) in their place.
    return 0, 0, 0, slack, (message, _UCRED.unpack(ancillary[0][2]), sender)


COMPILED = False
_answer_compiled: AnswerDatagrams = _answer_datagrams
if "LOCALECHOD_PURE_PYTHON" not in os.environ:
    with suppress(ImportError):
        from localechod.echo._fastpath import Flow, dispatch  # type: ignore[assignment]
        from localechod.echo._fastpath import answer_datagrams as _answer_compiled

        COMPILED = True


def datagram_function(limit: int) -> AnswerDatagrams:
    """Return the function that answers datagrams of up to `limit` bytes; see _answer_datagrams."""
    return _answer_compiled if limit < LONGEST_READ else _answer_datagrams
