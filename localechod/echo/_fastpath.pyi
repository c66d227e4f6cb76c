import select
from collections.abc import Callable

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
