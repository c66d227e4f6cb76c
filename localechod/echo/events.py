"""The event bus: a subscriber that reads slowly loses events, and delays nobody."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from localechod.echo.status import Event
from localechod.limits import EVENTS

__all__ = ["Event", "EventBus", "Subscription"]  # publishers import Event from here


class Subscription:
    """The bounded queue of one subscriber. Iterate over it; it ends when either side closes it.

    A full queue drops its oldest event and counts it in `dropped`, so that the subscriber can be
    told how many it missed. Blocking the publisher instead would let a subscriber stop the service.
    """

    def __init__(self, bus: "EventBus", size: int) -> None:
        self._bus = bus
        self._queue: deque[Event] = deque(maxlen=size)
        self._wakeup = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def put(self, event: Event) -> None:
        """Queue an event; a full queue drops its oldest one."""
        if len(self._queue) == self._queue.maxlen:
            self.dropped += 1
        self._queue.append(event)
        self._wakeup.set()

    def close(self) -> None:
        """End the iteration when the queued events have been read."""
        self._closed = True
        self._bus.forget(self)
        self._wakeup.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._queue:
                yield self._queue.popleft()
            if self._closed:
                return
            self._wakeup.clear()
            await self._wakeup.wait()


class EventBus:
    """Delivers every event to every subscriber, in order."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def subscribe(self, size: int = EVENTS) -> Subscription:
        """Return a new subscription that holds at most `size` unread events."""
        subscription = Subscription(self, size)
        self._subscriptions.add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Stop delivering to this subscription."""
        self._subscriptions.discard(subscription)

    def publish(self, event: Event) -> None:
        """Deliver an event to all subscribers, without waiting for any."""
        for subscription in self._subscriptions:
            subscription.put(event)

    def close(self) -> None:
        """End every subscription, so that event streams end with the service."""
        for subscription in list(self._subscriptions):
            subscription.close()
