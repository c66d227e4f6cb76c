"""The time that children of a poller have, and which are served first: the same tests on both."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from localechod.echo.fastpath import CHILD_BATCH
from tests.unit.poller_world import BUILDS, Pipe, World, busy


@pytest.fixture(params=list(BUILDS.values()), ids=list(BUILDS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(request.param, stack)


def test_a_slow_child_serves_one_event_in_a_turn_and_its_descriptors_in_order(
    world: World,
) -> None:
    slow, other = world.make(world.root), world.make(world.root)
    pipes = [world.pipe(slow, then=busy) for _ in range(CHILD_BATCH)]
    for pipe in pipes:
        pipe.write()
    calm = world.pipe(other)
    for turn in range(1, 2 * CHILD_BATCH + 1):
        calm.write()
        world.root.turn()
        assert len(calm.served) >= turn
        served = [len(pipe.served) for pipe in pipes]
        assert sum(served) == turn
        assert max(served) - min(served) <= 1


def test_of_a_slow_child_with_many_descriptors_none_waits_for_ever(world: World) -> None:
    slow = world.make(world.root)
    pipes = [world.pipe(slow, then=busy) for _ in range(2 * CHILD_BATCH)]
    for pipe in pipes[:CHILD_BATCH]:
        for _ in range(CHILD_BATCH):
            pipe.write()
    for _ in range((CHILD_BATCH + 1) * CHILD_BATCH):
        world.root.turn()
    assert all(pipe.served for pipe in pipes)


def test_a_slow_child_may_be_closed_while_it_is_served(world: World) -> None:
    slow = world.make(world.root)
    pipes = [world.pipe(slow) for _ in range(3)]

    def close() -> None:
        busy()
        slow.close()

    for pipe in pipes:
        pipe.then = close
    calm = world.pipe()
    world.root.turn()
    assert sum(len(pipe.served) for pipe in pipes) == 1
    assert not any(pipe.fd in world.root for pipe in pipes)
    assert calm.served


def flooded(world: World, count: int) -> list[Pipe]:
    """Return ready descriptors of as many children, all of which are busy."""
    pipes = [world.pipe(world.make(world.root), then=busy) for _ in range(count)]
    for _ in range(2):
        world.root.turn()
        for pipe in pipes:
            pipe.write()
    return pipes


def test_children_that_are_not_busy_are_served_before_those_that_are(world: World) -> None:
    order: list[str] = []
    for pipe in flooded(world, 3):
        pipe.then = lambda: order.append("busy")
    calm = world.pipe(world.make(world.root), then=lambda: order.append("calm"))
    world.root.turn()
    assert order == ["calm", "busy", "busy", "busy"]
    assert len(calm.served) == 1


def test_what_becomes_ready_in_a_turn_waits_for_no_more_than_one_busy_child(world: World) -> None:
    calm = world.pipe(world.make(world.root))
    waited: list[int] = []

    def work() -> None:
        waited.append(len(calm.served))
        busy()
        calm.write()

    for pipe in flooded(world, 5):
        pipe.then = work
    before = len(calm.served)
    world.root.turn()
    assert [served - before for served in waited] == [0, 1, 2, 3, 4]


def test_two_long_turns_make_a_child_busy_and_a_short_one_makes_it_quiet(world: World) -> None:
    order: list[str] = []
    first = world.pipe(world.make(world.root))
    second = world.pipe(world.make(world.root), then=lambda: order.append("second"))
    world.root.turn()

    def order_after(*turns: Callable[[], None]) -> list[str]:
        for first.then in turns:
            first.write()
            world.root.turn()
        order.clear()
        first.then = lambda: order.append("first")
        first.write()
        second.write()
        world.root.turn()
        return order

    assert order_after(busy) == ["first", "second"]
    assert order_after(busy, busy) == ["second", "first"]
    assert order_after() == ["first", "second"]


def test_between_turns_only_quiet_children_are_served_and_within_their_time(world: World) -> None:
    busy_ones = flooded(world, 2)
    foreign = world.foreign()
    slow = world.pipe(world.make(world.root), then=busy)
    slow.write()
    served = sum(len(pipe.served) for pipe in busy_ones)
    assert world.root.serve_quiet() == 1
    assert world.root.serve_quiet() == 0
    assert len(slow.served) == 1
    assert sum(len(pipe.served) for pipe in busy_ones) == served
    assert not foreign.served
    assert world.root.wait(0) == (foreign.fd, 1)
    assert len(slow.served) == 2
