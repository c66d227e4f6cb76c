"""Long answers in slices, with a turn of all others after each."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from localechod.limits import ANSWER_ROWS

T = TypeVar("T")


async def sliced(items: Iterable[T], turn: Callable[[], Awaitable[object]]) -> AsyncIterator[T]:
    """Yield the items, and wait after each slice of them.

    Args:
        items: what the answer has.
        turn: returns when the next slice may be made.
    """
    for number, item in enumerate(items, 1):
        yield item
        if not number % ANSWER_ROWS:
            await turn()
