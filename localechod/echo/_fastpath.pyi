import select
import socket
from collections.abc import Callable

LONGEST_PREFIX: int
LONGEST_READ: int
MOST_NAMES: int
PYTHON: int
CHUNKS: int
LINES: int
SEQPACKET: int
BOUNDARY: int
BUSY: int
UNSENT: int

class Flow:
    fd: int
    kind: int
    read_size: int
    limit: int
    atomic_size: int
    prefix: bytes
    slot_byte: memoryview | None
    fast_messages: int
    received: int
    sent: int
    accepted_at: float
    active_at: float

def dispatch(
    epoll: select.epoll,
    callbacks: dict[int, Callable[[int], int | None]],
    batch: int,
    now: float,
    /,
) -> int: ...
def answer_datagrams(
    sock: socket.socket,
    prefix: bytes,
    limit: int,
    most: int,
    slack: int,
    answered: set[str | bytes],
    /,
) -> tuple[
    int, int, int, int, int | tuple[bytes, tuple[int, int, int], str | bytes | None] | None
]: ...
