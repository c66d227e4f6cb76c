"""The newest events, remembered for callers who ask later, and handed on as they happen."""

import asyncio
from collections import deque

from localechod.echo.events import Event, EventBus, Subscription

REMEMBERED = 256


class EventHistory:
    """Reads a bus into a bounded memory and hands each event on to whoever watches.

    Watchers subscribe here and not at the bus: memory and subscription are then taken at the same
    point of the same sequence, and no event is told twice or falls between the two.
    """

    def __init__(self, bus: EventBus) -> None:
        self._source = bus.subscribe(REMEMBERED)
        self._past: deque[Event] = deque(maxlen=REMEMBERED)
        self._watchers = _Watchers()
        self._pump = asyncio.ensure_future(self._read())

    def watch(self, recent: int) -> tuple[list[Event], Subscription]:
        """Return the newest `recent` events, oldest first, and a subscription to what follows."""
        past = list(self._past)[-recent:] if recent else []
        return past, self._watchers.subscribe(REMEMBERED)

    async def close(self) -> None:
        """End every watcher's subscription, after what has been published until now."""
        self._source.close()
        await self._pump

    async def _read(self) -> None:
        async for event in self._source:
            if self._source.dropped:
                self._watchers.missed(self._source.dropped)
                self._source.dropped = 0
            self._past.append(event)
            self._watchers.publish(event)
        self._watchers.close()


class _Watchers(EventBus):
    def missed(self, count: int) -> None:
        """Let every subscriber know of events that did not even come this far."""
        for subscription in self._subscriptions:
            subscription.dropped += count
