import select
from collections.abc import Callable

class Flow:
    fd: int
    kind: int
    read_size: int
    limit: int
    whole: int
    prefix: bytes
    word: memoryview | None
    relayed: int
    received: int
    sent: int
    since: float
    active: float

def turn(
    epoll: select.epoll,
    handlers: dict[int, Callable[[int], int | None]],
    batch: int,
    now: float,
    /,
) -> int: ...
