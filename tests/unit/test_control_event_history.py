"""Past events and subscription join without a gap and without a repetition."""

import asyncio
from collections.abc import AsyncIterable

from localechod.control.event_history import EventHistory
from localechod.echo.events import Event, EventBus
from localechod.limits import EVENTS
from tests.unit.control_fakes import LoopFactory, on_each_loop, run

pytestmark = on_each_loop


def event(number: int) -> Event:
    return Event("state", "stream", str(number))


async def texts(events: AsyncIterable[Event], count: int) -> list[str]:
    found = []
    async for item in events:
        found.append(item.text)
        if len(found) == count:
            break
    return found


def test_a_watcher_sees_past_and_future_each_once(factory: LoopFactory) -> None:
    async def main() -> list[str]:
        bus = EventBus()
        history = EventHistory(bus)
        first = history.watch(0)[1]
        bus.publish(event(1))
        bus.publish(event(2))
        await texts(first, 1)
        past, subscription = history.watch(10)
        bus.publish(event(3))
        seen = [e.text for e in past] + await texts(subscription, 1)
        await history.close()
        return seen

    assert run(factory, main) == ["1", "2", "3"]


def test_an_event_published_just_before_a_watch_is_not_lost(factory: LoopFactory) -> None:
    async def main() -> list[str]:
        bus = EventBus()
        history = EventHistory(bus)
        bus.publish(event(1))  # the pump has not had its turn yet
        past, subscription = history.watch(10)
        seen = [e.text for e in past] + await texts(subscription, 1)
        await history.close()
        return seen

    assert run(factory, main) == ["1"]


def test_the_history_is_bounded_and_keeps_the_newest(factory: LoopFactory) -> None:
    async def main() -> tuple[int, str, list[str]]:
        bus = EventBus()
        history = EventHistory(bus)
        watcher = history.watch(0)[1]
        for number in range(EVENTS + 10):
            bus.publish(event(number))
        await texts(watcher, 1)
        past, _ = history.watch(10_000)
        newest, _ = history.watch(2)
        await history.close()
        return len(past), past[0].text, [e.text for e in newest]

    assert run(factory, main) == (EVENTS, "10", ["264", "265"])


def test_a_slow_watcher_is_told_how_many_events_are_missing(factory: LoopFactory) -> None:
    async def main() -> tuple[int, list[str]]:
        bus = EventBus()
        history = EventHistory(bus)
        watcher = history.watch(0)[1]
        for number in range(EVENTS + 7):
            bus.publish(event(number))  # more than the pump itself can hold
        await texts(watcher, 1)
        before = watcher.dropped
        for number in range(3):
            bus.publish(event(number))  # more than the watcher, with 255 unread, can hold
        await history.close()
        return before, [str(watcher.dropped - before), (await texts(watcher, 1))[0]]

    assert run(factory, main) == (7, ["2", "10"])


def test_closing_ends_every_watcher_after_the_published_events(factory: LoopFactory) -> None:
    async def main() -> list[str]:
        bus = EventBus()
        history = EventHistory(bus)
        _, subscription = history.watch(0)
        bus.publish(event(1))
        await history.close()
        return [e.text async for e in subscription]

    assert run(factory, main) == ["1"]


def test_a_bus_that_closes_first_ends_the_watchers_too(factory: LoopFactory) -> None:
    async def main() -> list[str]:
        bus = EventBus()
        history = EventHistory(bus)
        _, subscription = history.watch(0)
        bus.publish(event(1))
        bus.close()
        seen = [e.text async for e in subscription]
        await asyncio.wait_for(history.close(), 5)
        return seen

    assert run(factory, main) == ["1"]
