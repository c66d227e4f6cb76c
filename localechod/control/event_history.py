"""The newest events, kept for callers that ask later, and passed on as they happen."""

import asyncio
from collections import deque

from localechod.echo.events import Event, EventBus, Subscription
from localechod.limits import EVENTS


class EventHistory:
    """Keeps the newest events of a bus and passes each event on to its watchers.

    Watchers subscribe here and not at the bus. Past events and subscription then meet at the same
    point of one sequence, so that no event is sent twice or missed between the two.
    """

    def __init__(self, bus: EventBus) -> None:
        self._source = bus.subscribe(EVENTS)
        self._past: deque[Event] = deque(maxlen=EVENTS)
        self._watchers = _Watchers()
        self._pump = asyncio.ensure_future(self._read())

    def watch(self, recent: int) -> tuple[list[Event], Subscription]:
        """Return the newest `recent` events, oldest first, and a subscription to what follows."""
        past = list(self._past)[-recent:] if recent else []
        return past, self._watchers.subscribe(EVENTS)

    async def close(self) -> None:
        """End every watcher's subscription, after the events published so far."""
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
        """Count events, for every subscriber, that were dropped before they came here."""
        for subscription in self._subscriptions:
            subscription.dropped += count
