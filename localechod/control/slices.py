"""Long answers in slices, with a turn of traffic after each."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from localechod.limits import ANSWER_ROWS

T = TypeVar("T")


async def sliced(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items, and let everything else that is ready run after each slice of them."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % ANSWER_ROWS:
            await asyncio.sleep(0)
