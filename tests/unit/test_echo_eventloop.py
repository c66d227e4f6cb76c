"""asyncio's loop on a reactor: what asyncio promises holds, and a handler can wake it up."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from localechod.echo.eventloop import EventLoop
from localechod.echo.reactor import Pulse, Reactor
from localechod.limits import CONTROL_TIME, MOST_CONTROL_TIME
from tests.unit.loops import new_loop

SECONDS = 20.0


class Ready:
    """A handler whose descriptor is ready once."""

    def __init__(self, reactor: Reactor, then: Callable[[], object]) -> None:
        self._fd, self._reactor, self._then = os.eventfd(1), reactor, then
        reactor.register(self._fd, select.EPOLLIN, self)

    def serve(self, _events: int) -> None:
        self._reactor.unregister(self._fd)
        os.close(self._fd)
        self._then()

    def failed(self, error: Exception) -> None:
        raise error


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = new_loop()
    yield loop
    loop.close()


def test_a_handler_wakes_the_loop_up(loop: EventLoop) -> None:
    async def main() -> None:
        for schedule in (
            lambda done: done.set_result(None),
            lambda done: loop.call_soon(done.set_result, None),
            lambda done: loop.call_later(0.001, done.set_result, None),
        ):
            done = loop.create_future()
            Ready(loop.reactor, lambda done=done, schedule=schedule: schedule(done))  # type: ignore[misc]
            await done  # without a timer the loop would sleep for ever

    loop.run_until_complete(asyncio.wait_for(main(), SECONDS))


def test_timers_sockets_signals_threads_and_processes_work(loop: EventLoop) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        await loop.sock_sendall(ours, b"question\n")
        assert await reader.readline() == b"question\n"
        big = b"y" * 1_000_000
        writer.write(big)
        got = b""
        while len(got) < len(big):
            got += await loop.sock_recv(ours, 1 << 20)
        assert got == big
        writer.close()
        ours.close()
        asked = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, asked.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asked.wait()
        loop.remove_signal_handler(signal.SIGUSR1)
        with ThreadPoolExecutor(1) as pool:
            assert await loop.run_in_executor(pool, subprocess.call, ["true"]) == 0

    loop.run_until_complete(asyncio.wait_for(main(), SECONDS))


def test_a_handler_may_stop_the_loop(loop: EventLoop) -> None:
    loop.call_soon(lambda: Ready(loop.reactor, loop.stop))
    loop.run_forever()  # without a timer it would sleep for ever


def test_a_socket_object_is_known_by_its_descriptor(loop: EventLoop) -> None:
    ours, theirs = socket.socketpair()
    calls: list[str] = []
    with theirs:
        loop.add_reader(ours, calls.append, "first")
        loop.add_reader(ours, calls.append, "second")
        theirs.send(b"x")
        loop.call_soon(loop.call_soon, loop.stop)
        loop.run_forever()
        assert set(calls) == {"second"}
        assert loop.remove_reader(ours)
        assert not loop.remove_reader(ours)
        fd = ours.fileno()
        loop.add_reader(fd, calls.append, "third")
        ours.close()
        assert loop.remove_reader(fd)


def test_a_loop_that_has_work_serves_traffic_all_the_same(loop: EventLoop) -> None:
    served: list[int] = []

    async def main() -> None:
        for _ in range(3):
            Ready(loop.reactor, lambda: served.append(1))
            before = len(served)
            while len(served) == before:  # noqa: ASYNC110 - the loop never sleeps
                await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(main(), SECONDS))
    assert len(served) == 3


def test_while_asyncio_has_its_time_traffic_is_served_after_each_callback(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "thread_time", lambda: 0.0)
    served: list[int] = []

    async def main() -> None:
        for turn in range(1, 6):
            Ready(loop.reactor, lambda: served.append(1))
            await asyncio.sleep(0)
            assert len(served) == turn

    loop.run_until_complete(asyncio.wait_for(main(), SECONDS))


def test_a_handler_that_cannot_even_end_what_it_serves_is_not_served_any_more(
    loop: EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        calls = 0

        def serve(self, _events: int) -> None:
            self.calls += 1
            raise ZeroDivisionError

        def failed(self, error: Exception) -> None:
            raise error

    broken, fd = Broken(), os.eventfd(1)
    loop.reactor.register(fd, select.EPOLLIN, broken)
    loop.reactor.turn()
    assert loop.reactor.turn() == 0
    assert broken.calls == 1
    (record,) = caplog.records
    assert record.message == f"descriptor {fd} is not served any more"
    os.close(fd)


def test_the_pulse_does_not_wait_behind_asyncios_events(loop: EventLoop) -> None:
    pulse = Pulse(loop.reactor)
    pairs = [socket.socketpair() for _ in range(100)]
    handled = 0

    def handle() -> None:
        nonlocal handled
        handled += 1
        until = time.monotonic() + CONTROL_TIME
        while time.monotonic() < until:
            pass

    for ours, theirs in pairs:
        theirs.send(b"?")
        loop.add_reader(ours, handle)  # it is never read, so that it is always ready

    async def beat() -> int:
        before = handled
        await pulse.beat()
        return handled - before

    assert loop.run_until_complete(asyncio.wait_for(beat(), SECONDS)) < 10
    pulse.close()
    for ours, theirs in pairs:
        loop.remove_reader(ours)
        ours.close()
        theirs.close()


def test_the_pulse_comes_back_through_the_epoll_of_the_data_plane(loop: EventLoop) -> None:
    pulse = Pulse(loop.reactor)
    loop.run_until_complete(asyncio.wait_for(pulse.beat(), SECONDS))
    pulse.close()


def wait(seconds: float) -> None:
    """Take so much time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def ready_for_ever(loop: EventLoop, stack: ExitStack, handle: Callable[[int], object]) -> int:
    """Have asyncio call a handler of a descriptor that is always ready; return the descriptor."""
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        stack.callback(sock.close)
    theirs.send(b"?")
    loop.add_reader(ours, handle, ours.fileno())
    stack.callback(loop.remove_reader, ours)
    return ours.fileno()


def turns_of_one(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch, user: Callable[[int, bool], int]
) -> int:
    """Return how many of 40 events one of 50 busy descriptors had; `user` says whose each is."""
    one: list[int] = []
    monkeypatch.setattr("localechod.echo.eventloop.peer_uid", lambda fd: user(fd, fd in one))
    order: list[int] = []
    enough = asyncio.Event()

    def handle(fd: int) -> None:
        wait(CONTROL_TIME)
        order.append(fd)
        if len(order) == 40:
            enough.set()

    with ExitStack() as stack:
        many = [ready_for_ever(loop, stack, handle) for _ in range(50)]
        one.append(many[7])
        loop.remove_reader(many[7])
        loop.add_reader(many[7], handle, many[7])  # its user is looked up again
        loop.run_until_complete(asyncio.wait_for(enough.wait(), SECONDS))
    return order.count(one[0])


def test_users_take_turns_however_many_descriptors_one_has(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert turns_of_one(loop, monkeypatch, lambda _, is_one: 1000 + is_one) >= 15


def test_root_does_not_wait_for_an_event_of_each_user(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert turns_of_one(loop, monkeypatch, lambda fd, is_one: 0 if is_one else fd) >= 15


def test_an_event_is_handled_to_its_end_before_the_next_one(loop: EventLoop) -> None:
    begun: list[int] = []
    order: list[tuple[int, int]] = []
    enough = asyncio.Event()

    async def steps(fd: int) -> None:
        for step in range(3):
            order.append((fd, step))
            await asyncio.sleep(0)
        enough.set()

    def handle(fd: int) -> None:
        loop.remove_reader(fd)
        begun.append(fd)
        tasks.append(loop.create_task(steps(fd)))

    tasks: list[asyncio.Task[None]] = []
    with ExitStack() as stack:
        for _ in range(10):
            ready_for_ever(loop, stack, handle)
        loop.run_until_complete(asyncio.wait_for(enough.wait(), SECONDS))
        first = [(begun[0], step) for step in range(3)]
        assert order[:3] == first


@pytest.mark.parametrize(
    ("turn_time", "most"), [(0.0, CONTROL_TIME), (2 * MOST_CONTROL_TIME, MOST_CONTROL_TIME)]
)
def test_asyncio_has_as_much_time_as_traffic_within_bounds(
    loop: EventLoop, turn_time: float, most: float
) -> None:
    turns = handled = 0
    enough = asyncio.Event()

    def handle(_fd: int) -> None:
        nonlocal handled
        handled += 1
        wait(CONTROL_TIME / 2)

    class Busy(Pulse):
        def serve(self, _events: int) -> None:  # it is not read, so that it is always ready
            nonlocal turns
            turns += 1
            wait(turn_time)
            if turns == 20:
                enough.set()

    busy = Busy(loop.reactor)
    with ExitStack() as stack:
        stack.callback(busy.close)
        for _ in range(100):
            ready_for_ever(loop, stack, handle)
        busy._ours.send(b"?")
        loop.run_until_complete(asyncio.wait_for(enough.wait(), SECONDS))
    assert turns / 2 <= handled <= turns * (2 * most / CONTROL_TIME + 1)
