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
__all__ += ["Flow", "Handler", "turn"]

# What a flow's messages are, as far as the compiled loop may serve it; as in _fastpath_flow.h.
PYTHON = 0  # not at all
CHUNKS = 1  # what one read returns is one message, and goes back unchanged
LINES = 2  # complete lines
RECORDS = 3  # what one read returns, without its boundaries lost

# The longest read, in bytes, that the compiled loop has room for.
LONGEST_READ = 1 << 17

Handler = Callable[[int], int | None]


class Flow:
    """The part of a connection that the inner loop knows.

    Attributes:
        kind: PYTHON, or what may be done without it; only while nothing is unsent or incomplete.
        read_size, limit, prefix: bytes of a read, of the longest message, and before each reply.
        word: where the state of a kept connection is written, for a crash; see crash_slots.py.
        whole: the longest reply, in bytes, that is sent whole or not at all; see crash_slots.py.
        relayed: messages that the compiled loop has answered; bytes are counted together.
        since, active: when it came, and when it last read or wrote; monotonic seconds.
    """

    __slots__ = (
        *("active", "fd", "kind", "limit", "prefix", "read_size"),
        *("received", "relayed", "sent", "since", "whole", "slot_byte"),
    )

    fd: int
    limit: int
    read_size: int
    since: float
    active: float

    def __init__(self) -> None:
        self.kind = PYTHON
        self.prefix = b""
        self.slot_byte: memoryview | None = None
        self.whole = sys.maxsize
        self.relayed = self.received = self.sent = 0


def turn(epoll: select.epoll, handlers: dict[int, Handler], batch: int, _now: float) -> int:
    """Call the handlers of what is ready.

    Args:
        epoll: whose descriptors they are.
        handlers: by descriptor; each returns how many events it stands for, None for one.
        batch: how many to call at most.

    Returns:
        How many events there were.
    """
    served = 0
    for fd, events in epoll.poll(0, batch):
        # A handler earlier in this batch may have closed this descriptor. If its number has been
        # reused already, the newcomer sees one event too many, reads EAGAIN, and waits.
        handler = handlers.get(fd)
        more = handler(events) if handler is not None else None
        served += 1 if more is None else more
    return served


COMPILED = False
if "LOCALECHOD_PURE_PYTHON" not in os.environ:
    with suppress(ImportError):
        from localechod.echo._fastpath import Flow, turn  # type: ignore[assignment]

        COMPILED = True
