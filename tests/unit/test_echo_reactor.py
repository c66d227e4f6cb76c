"""When rounds of the reactor follow each other, and when the event loop continues."""

import asyncio
import os
import select
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from localechod.echo import reactor as module
from localechod.echo.reactor import _SLICE, CHILD_BATCH, Reactor

# Seconds that pass whenever somebody looks at the clock.
TICK = 0.000_01


class World:
    """A descriptor that is ready when it is written to, on a reactor with a clock of its own."""

    def __init__(self, busy_poll: float) -> None:
        self.now = 1.0
        self.served = self.yields = 0
        self.whenever_it_yields: Callable[[], object] = lambda: None
        self.loop = asyncio.new_event_loop()
        self.reactor = Reactor(self.loop, busy_poll=busy_poll)
        self.ours, self.client = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ours.setblocking(False)

    def monotonic(self) -> float:
        self.now += TICK
        return self.now

    def sched_yield(self) -> None:
        self.yields += 1
        self.whenever_it_yields()

    def serve(self, _events: int) -> None:
        self.ours.recv(1)
        self.served += 1

    def ask(self) -> int:
        return self.client.send(b"x")

    def run_once(self) -> None:
        """Let the loop run once."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()


@pytest.fixture
def worlds(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    made = []

    def make(busy_poll: float = 0.0) -> World:
        world = World(busy_poll)
        made.append(world)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=world.monotonic))
        yielding = SimpleNamespace(sched_yield=world.sched_yield, dup=os.dup, close=os.close)
        monkeypatch.setattr(module, "os", yielding)
        world.reactor.register(world.ours.fileno(), select.EPOLLIN, world.serve)
        return world

    yield make
    for world in made:
        world.reactor.close()
        world.loop.close()
        world.ours.close()
        world.client.close()


def test_without_busy_polling_nothing_is_looked_for(worlds: Callable[..., World]) -> None:
    world = worlds()
    world.ask()
    world.run_once()
    assert (world.served, world.yields) == (1, 0)


def test_busy_polling_finds_the_next_question_and_ends_when_there_is_none(
    worlds: Callable[..., World],
) -> None:
    world = worlds(busy_poll=5.5 * TICK)
    world.whenever_it_yields = lambda: world.served < 4 and world.ask()
    world.ask()
    world.run_once()
    assert world.served == 4


def test_after_the_last_question_it_looks_for_as_long_as_it_should(
    worlds: Callable[..., World],
) -> None:
    world = worlds(busy_poll=5.5 * TICK)
    world.ask()
    world.run_once()
    assert (world.served, world.yields) == (1, 5)
    world.run_once()
    assert world.yields == 5


@pytest.mark.parametrize("endless", [True, False])
def test_however_long_it_is_to_look_the_loop_gets_its_turn(
    worlds: Callable[..., World], endless: bool
) -> None:
    world = worlds(busy_poll=3.5 * _SLICE)
    world.ask()
    if endless:
        world.whenever_it_yields = world.ask
    yields = []
    for _ in range(6):
        before = world.yields
        world.run_once()
        yields.append(world.yields - before)
    assert max(yields) <= _SLICE / TICK
    assert all(yields[:3])
    assert any(yields[4:]) == endless


def test_paused_it_looks_for_nothing(worlds: Callable[..., World]) -> None:
    world = worlds(busy_poll=3.5 * _SLICE)
    world.ask()
    world.run_once()
    world.reactor.pause()
    world.ask()
    world.run_once()
    assert world.served == 1
    world.reactor.resume()
    world.run_once()
    assert world.served == 2


def test_a_child_with_more_goes_on_before_the_loop_but_not_for_long(
    worlds: Callable[..., World],
) -> None:
    world = worlds()
    child = world.reactor.child()
    served = []
    descriptors = [os.eventfd(1) for _ in range(CHILD_BATCH)]
    for descriptor in descriptors:
        child.register(descriptor, select.EPOLLIN, lambda _: served.append(1))
    world.run_once()
    assert CHILD_BATCH < len(served) <= CHILD_BATCH * _SLICE / TICK
    child.close()
    for descriptor in descriptors:
        os.close(descriptor)
