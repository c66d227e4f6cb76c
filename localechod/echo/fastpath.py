"""The inner loop of the data plane, compiled where that could be done, and in Python where not.

Both do the same. The compiled one (_fastpath.c) reads, answers and counts without a step of Python
for each message, as long as nothing out of the ordinary happens; docs/performance.md says what
that gives. With LOCALECHOD_PURE_PYTHON in the environment it is left aside.
"""

import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress

__all__ = ["CHUNKS", "COMPILED", "LINES", "LONGEST_READ", "PYTHON", "RECORDS"]
__all__ += ["Callback", "Flow", "dispatch"]

# What a flow's messages are, as far as the compiled loop may serve it; as in _fastpath_flow.h.
PYTHON = 0  # not at all
CHUNKS = 1  # what one read returns is one message, and goes back unchanged
LINES = 2  # complete lines
RECORDS = 3  # what one read returns, without its boundaries lost

# The longest read, in bytes, that the compiled loop has room for.
LONGEST_READ = 1 << 17

Callback = Callable[[int], int | None]


class Flow:
    """The part of a connection that the inner loop knows.

    Attributes:
        kind: PYTHON, or what may be done without it; only while nothing is unsent or incomplete.
        read_size, limit, prefix: bytes of a read, of the longest message, and before each reply.
        slot_byte: the state byte of the connection's crash slot, or None; see crash_slots.py.
        atomic_size: bytes of the longest reply that is sent whole or not at all; see there.
        fast_messages: messages that the compiled loop has answered; bytes are counted together.
        accepted_at, active_at: when it came, and when it last read or wrote; monotonic seconds.
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
    """Call the callbacks of what is ready.

    Args:
        epoll: whose descriptors they are.
        callbacks: by descriptor; each returns how many events it stands for, None for one.
        batch: how many to call at most.

    Returns:
        How many events there were.
    """
    served = 0
    for fd, events in epoll.poll(0, batch):
        # A callback earlier in this batch may have closed this descriptor. If its number has been
        # reused already, the newcomer sees one event too many, reads EAGAIN, and waits.
        callback = callbacks.get(fd)
        more = callback(events) if callback is not None else None
        served += 1 if more is None else more
    return served


COMPILED = False
if "LOCALECHOD_PURE_PYTHON" not in os.environ:
    with suppress(ImportError):
        from localechod.echo._fastpath import Flow, dispatch  # type: ignore[assignment]

        COMPILED = True
