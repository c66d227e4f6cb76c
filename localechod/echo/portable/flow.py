"""A flow: what the compiled part knows of a connection, as a type that Connection inherits."""

import sys
from typing import Any, Self

from localechod.echo.portable.totals import Totals


class Flow:
    """The part of a connection that the compiled part knows.

    Attributes:
        fd: the descriptor; -1 after it was closed.
        kind: of an open flow, CHUNKS, LINES or SEQPACKET while nothing is unsent or incomplete, and
            no setting takes Python (`_fast_kind` of the connection); else PYTHON. Only the compiled
            part looks at it.
        events: to wait for, while no reply is unsent; epoll_ctl(2).
        pid, uid, gid: of the peer.
        read_size, limit: bytes of one read, and of the longest message.
        prefix: put before each reply.
        slot: the connection's crash slot, or None; see crash_slots.py.
        slot_byte: its state byte, or None.
        atomic_size: bytes of the longest reply that is sent whole or not at all; see there.
        fast_messages: messages that the compiled part has answered; of seqpacket, all.
        received, sent: bytes, whichever part has read and written them.
        accepted_at, active_at: when the connection was accepted, and when it last read or wrote;
            monotonic seconds.
        totals: of the endpoint; every flow adds to them what it counts.
        port: the listener that has accepted it.
        _sock: the socket object, as soon as something needs one; else None. The descriptor may
            have duplicates in other processes only if there is one.
        framer, unsent, afterwards: of the connection, None at first; see there.
    """

    __slots__ = (
        *("active_at", "accepted_at", "atomic_size", "events", "fast_messages", "fd", "gid"),
        *("kind", "limit", "pid", "prefix", "read_size", "received", "sent", "slot_byte"),
        *("uid", "afterwards", "framer", "port", "slot", "_sock", "totals", "unsent"),
    )

    fd: int
    kind: int
    events: int
    limit: int
    read_size: int
    prefix: bytes
    totals: Totals | None
    port: Any
    slot: Any
    framer: Any
    unsent: Any
    afterwards: Any
    _sock: Any

    def __init__(self) -> None:
        self.fd = -1
        self.kind = self.events = self.limit = self.pid = self.uid = self.gid = 0
        self.prefix = b""
        self.read_size = 1
        self.fast_messages = self.received = self.sent = 0
        self.accepted_at = self.active_at = 0.0
        self.atomic_size = sys.maxsize
        self.slot_byte: memoryview | None = None
        self.totals = None
        self.port = self.slot = self._sock = self.framer = None
        self.unsent = self.afterwards = None

    def serve(self, events: int, /) -> int | None:
        """See Handler."""
        raise NotImplementedError

    def failed(self, error: Exception, /) -> None:
        """See Handler."""
        raise NotImplementedError

    def like(self, fd: int, pid: int, uid: int, gid: int, now: float, /) -> Self:
        """Return a new flow with the settings of this one: what configuration decides."""
        flow = type(self)()
        flow.fd, flow.pid, flow.uid, flow.gid = fd, pid, uid, gid
        flow.accepted_at = flow.active_at = now
        flow.kind, flow.events, flow.port = self.kind, self.events, self.port
        flow.read_size, flow.limit, flow.prefix = self.read_size, self.limit, self.prefix
        flow.totals = self.totals
        return flow
