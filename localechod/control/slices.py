"""Long answers in slices, with a turn of traffic after each."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

# Rows of a slice: they take about as long as one turn of traffic.
ROWS = 32


async def sliced(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield the items, and let everything else that is ready run after each slice of them."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % ROWS:
            await asyncio.sleep(0)
