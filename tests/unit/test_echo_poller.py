"""The poller, compiled and in Python: the same tests on both."""

import os
import resource
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from localechod.echo import fastpath
from localechod.echo.fastpath import CHILD_BATCH
from tests.unit.poller_world import BUILDS, Pipe, World, busy


@pytest.fixture(params=list(BUILDS.values()), ids=list(BUILDS))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(request.param, stack)


def test_a_handler_is_served_once_for_each_time_that_it_is_ready(world: World) -> None:
    pipe = world.pipe()
    assert (world.root.turn(), world.root.turn()) == (1, 0)
    pipe.write()
    assert world.root.turn() == 1
    assert pipe.served == [select.EPOLLIN] * 2


def test_a_handler_that_serves_more_counts_for_more(world: World) -> None:
    class Batch(Pipe):
        def serve(self, events: int) -> int:
            super().serve(events)
            return 32

    pipe = Batch()
    world.stack.callback(pipe.close)
    world.root.register(pipe.fd, select.EPOLLIN, pipe)
    world.pipe()
    assert world.root.turn() == 33


def test_foreign_events_are_returned_one_at_a_time_and_traffic_is_served_before_each(
    world: World,
) -> None:
    first, second, traffic = world.foreign(), world.foreign(), world.pipe()
    served, order = [], []
    for _ in range(4):
        fd, events = world.root.wait(None)
        assert events == select.EPOLLIN
        order.append(fd)
        served.append(len(traffic.served))
        traffic.write()
    assert order == [first.fd, second.fd] * 2  # none of them waits for ever
    assert served == [1, 2, 3, 4]


def test_an_unregistered_foreign_descriptor_is_not_returned(world: World) -> None:
    first, second, third = world.foreign(), world.foreign(), world.foreign()
    assert world.root.wait(None)[0] == first.fd
    world.root.unregister(second.fd)
    assert world.root.wait(None)[0] == third.fd
    world.root.register(second.fd, select.EPOLLIN, None)
    world.root.unregister(first.fd)
    world.root.unregister(third.fd)
    assert world.root.wait(None)[0] == second.fd


def test_an_exception_of_a_handler_is_reported_and_all_others_are_served(world: World) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    before, broken, after = world.pipe(), world.pipe(then=fail), world.pipe()
    assert world.root.turn() == 3
    assert len(before.served) == len(after.served) == 1
    ((fd, handler, error),) = world.failures
    assert (fd, handler) == (broken.fd, broken)
    assert isinstance(error, ZeroDivisionError)
    assert error.__traceback__ is not None


def test_an_interrupt_from_the_keyboard_is_raised(world: World) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world.pipe(then=interrupt)
    with pytest.raises(KeyboardInterrupt):
        world.root.wait(None)
    assert not world.failures


def test_a_descriptor_that_is_closed_and_opened_in_a_turn_gets_no_event_of_the_old_one(
    world: World,
) -> None:
    pipes = [world.pipe(), world.pipe()]
    late: list[Pipe] = []

    def replace_the_other(here: Pipe, other: Pipe) -> None:
        if late or other.served:
            return
        world.root.unregister(other.fd)
        late.append(Pipe())
        os.dup2(late[0].fd, other.fd)
        world.root.register(other.fd, select.EPOLLIN, late[0])
        assert here.served

    pipes[0].then = lambda: replace_the_other(*pipes)
    pipes[1].then = lambda: replace_the_other(*reversed(pipes))
    world.root.turn()
    assert not late[0].served
    world.root.turn()
    assert len(late[0].served) == 1
    late[0].close()


@pytest.mark.parametrize("count", [1, CHILD_BATCH, CHILD_BATCH + 1, 5 * CHILD_BATCH])
def test_a_child_serves_a_bounded_number_of_events_in_a_turn(world: World, count: int) -> None:
    child, other = world.make(world.root), world.make(world.root)
    pipes = [world.pipe(child) for _ in range(count)]
    calm = world.pipe(other)
    assert world.root.turn() <= 2 * CHILD_BATCH + 1
    assert len(calm.served) == 1
    while world.root.turn():
        pass
    assert all(len(pipe.served) == 1 for pipe in pipes)
    assert all(pipe.fd in world.root and pipe.fd in child for pipe in pipes)


def test_accepting_ends_after_the_time_of_a_turn(world: World, listener: socket.socket) -> None:
    def admit(*_peer: int) -> None:
        busy()

    for _ in range(3):
        connected(world, listener)
    assert [world.root.accept(listener, admit, 16, 1 << 20) for _ in range(4)] == [1, 1, 1, 0]


def test_a_child_has_an_epoll_of_its_own_only_while_it_has_many_descriptors(world: World) -> None:
    def descriptors() -> int:
        lowest = os.dup(0)
        os.close(lowest)
        return lowest

    before = descriptors()
    child = world.make(world.root)
    assert descriptors() == before
    pipes = [world.pipe(child) for _ in range(CHILD_BATCH + 1)]
    for pipe in pipes:
        child.unregister(pipe.fd)
    again = [world.pipe(child) for _ in range(CHILD_BATCH)]
    assert world.root.turn() == CHILD_BATCH
    assert all(pipe.served for pipe in again)


def test_a_closed_child_leaves_nothing(world: World) -> None:
    child = world.make(world.root)
    pipes = [world.pipe(child) for _ in range(2 * CHILD_BATCH)]
    child.close()
    assert world.root.turn() == 0
    assert not any(pipe.fd in world.root for pipe in pipes)
    for pipe in pipes:
        world.root.register(pipe.fd, select.EPOLLIN, pipe)


def test_while_children_are_paused_only_the_root_serves(world: World) -> None:
    child = world.make(world.root)
    pipes = [world.pipe(child) for _ in range(2 * CHILD_BATCH)]
    child.modify(pipes[0].fd, 0)
    root, foreign = world.pipe(), world.foreign()
    world.root.pause()
    assert world.root.wait(None) == (foreign.fd, select.EPOLLIN)
    assert world.root.wait(None) == (foreign.fd, select.EPOLLIN)
    assert root.served
    assert not any(pipe.served for pipe in pipes)
    child.unregister(pipes[1].fd)
    child.register(pipes[1].fd, select.EPOLLIN, pipes[1])
    child.modify(pipes[2].fd, select.EPOLLIN)
    world.root.resume()
    while world.root.turn() > 1:
        pass
    assert [len(pipe.served) for pipe in pipes] == [0] + [1] * (len(pipes) - 1)


def test_waiting_ends_after_the_time_and_by_an_interrupt(world: World) -> None:
    assert world.root.wait(0) is None
    assert world.root.wait(0.002) is None
    pipe = world.pipe(then=world.root.interrupt)
    assert world.root.wait(None) is None
    assert pipe.served
    child = world.make(world.root)
    world.pipe(child, then=child.interrupt)
    assert world.root.wait(None) is None


def test_the_clock_goes_on_with_each_turn(world: World) -> None:
    child, before = world.make(world.root), world.root.now
    world.root.turn()
    assert child.now == world.root.now > before


@pytest.mark.parametrize("busy_poll", [0.0, 100.0])
def test_after_an_event_it_polls_instead_of_sleeping(world: World, busy_poll: float) -> None:
    def sleeps() -> int:
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw

    root = world.make(busy_poll=busy_poll)
    world.pipe(root)
    root.wait(0)
    before = sleeps()
    for _ in range(20):
        assert root.wait(0.001) is None
    assert (sleeps() - before >= 20) == (not busy_poll)


def test_registration_errors(world: World) -> None:
    pipe = world.pipe()
    with pytest.raises(ValueError, match="cannot be registered"):
        world.root.register(pipe.fd, select.EPOLLIN, pipe)
    with pytest.raises(ValueError, match="cannot be registered"):
        world.root.register(-1, select.EPOLLIN, pipe)
    world.root.unregister(pipe.fd)
    with pytest.raises(KeyError):
        world.root.unregister(pipe.fd)
    with pytest.raises(KeyError):
        world.root.modify(pipe.fd, select.EPOLLIN)
    with open(os.devnull, "rb") as file, pytest.raises(PermissionError):  # noqa: PTH123
        world.root.register(file.fileno(), select.EPOLLIN, pipe)
    assert pipe.fd not in world.root
    with pytest.raises(OSError, match="Bad file descriptor"):
        world.root.register((1 << 31) - 1, select.EPOLLIN, pipe)
    with pytest.raises(OverflowError):
        world.root.register((1 << 32) + pipe.fd, select.EPOLLIN, pipe)
    child = world.make(world.root)
    for handler in (world.root, child):
        with pytest.raises(ValueError, match="cannot be registered"):
            world.root.register(pipe.fd, select.EPOLLIN, handler)
    world.root.register(pipe.fd, select.EPOLLIN, pipe)
    world.root.close()
    child.close()
    for poller in (world.root, child):
        with pytest.raises(ValueError, match="cannot be registered"):
            poller.register(pipe.fd, select.EPOLLIN, pipe)
    with pytest.raises(OSError, match="Bad file descriptor"):
        world.root.wait(None)
    assert child.turn() == 0


def test_signals_do_not_delay_the_end_of_a_wait(world: World) -> None:
    count = 0

    def handle(_number: int, _frame: object) -> None:
        nonlocal count
        count += 1
        if count == 200:
            signal.setitimer(signal.ITIMER_REAL, 0)

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        assert world.root.wait(0.05) is None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert 0 < count < 200  # as long as they came, it would have begun again


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("")
        sock.listen(64)
        sock.setblocking(False)
        yield sock


def connected(world: World, listener: socket.socket) -> socket.socket:
    client = world.stack.enter_context(socket.socket(socket.AF_UNIX))
    client.settimeout(10)
    client.connect(listener.getsockname())
    return client


def test_an_accepted_client_is_registered_and_read_from_at_once(
    world: World, listener: socket.socket
) -> None:
    class Served(world.flow_class):  # type: ignore[misc,name-defined]
        def serve(self, events: int) -> None:
            os.write(self.fd, b"reply to " + os.read(self.fd, 10))
            assert events == self.events

    model = Served()
    model.events = select.EPOLLIN
    flows = []

    def admit(*peer: int) -> object:
        flows.append(model.like(*peer, world.root.now))
        return flows[-1]

    clients = [connected(world, listener) for _ in range(3)]
    for client in clients:
        client.send(b"hello")
    assert world.root.accept(listener, admit, 2, 1 << 20) == 2
    assert world.root.accept(listener, admit, 2, 1 << 20) == 1
    assert world.root.accept(listener, admit, 2, 1 << 20) == 0
    assert [client.recv(100) for client in clients] == [b"reply to hello"] * 3
    for flow in flows:
        assert flow.fd in world.root
        assert (flow.pid, flow.uid, flow.gid) == (os.getpid(), os.geteuid(), os.getegid())
        assert not os.get_blocking(flow.fd)
        assert not os.get_inheritable(flow.fd)
        world.root.unregister(flow.fd)
        os.close(flow.fd)


def test_a_connection_that_tells_an_empty_record_from_the_end_asks_for_credentials(
    world: World,
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind("")
        listener.listen()
        client = world.stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        client.connect(listener.getsockname())
        listener.setblocking(False)
        model = world.flow_class()
        model.events = select.EPOLLIN | select.EPOLLRDHUP
        flows: list[Any] = []

        def admit(*peer: int) -> object:
            flows.append(model.like(*peer, world.root.now))
            return flows[-1]

        assert world.root.accept(listener, admit, 1, 1 << 20) == 1
        with socket.socket(fileno=flows[0].fd) as sock:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED) == 1
            if sock.fileno() in world.root:  # else its handler has failed, as it has none
                world.root.unregister(sock.fileno())


def test_accepting_ends_with_a_high_descriptor(world: World, listener: socket.socket) -> None:
    for _ in range(2):
        connected(world, listener)
    assert world.root.accept(listener, lambda *_: None, 2, 0) == 1


def test_a_refused_client_is_closed_and_the_next_is_accepted(
    world: World, listener: socket.socket
) -> None:
    client = connected(world, listener)
    assert world.root.accept(listener, lambda *_: None, 16, 1 << 20) == 1
    assert client.recv(1) == b""


def test_an_exception_about_a_client_closes_this_client(
    world: World, listener: socket.socket
) -> None:
    def fail(*_peer: int) -> None:
        raise MemoryError

    first, second = connected(world, listener), connected(world, listener)
    with pytest.raises(MemoryError):
        world.root.accept(listener, fail, 16, 1 << 20)
    assert first.recv(1) == b""
    assert world.root.accept(listener, lambda *_: None, 16, 1 << 20) == 1
    assert second.recv(1) == b""


def test_an_error_of_accept_is_raised(world: World) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
        pytest.raises(OSError, match="Operation not supported"),
    ):
        world.root.accept(sock, lambda *_: None, 1, 1 << 20)


def test_a_flow_is_like_its_model_in_what_the_configuration_decides(world: World) -> None:
    model = world.flow_class()
    model.kind, model.events, model.prefix = fastpath.LINES, select.EPOLLIN, b"> "
    model.read_size, model.limit, model.port = 100, 50, "port"
    flow = model.like(7, 1, 2, 3, 4.5)
    assert (flow.fd, flow.pid, flow.uid, flow.gid) == (7, 1, 2, 3)
    assert flow.accepted_at == flow.active_at == 4.5
    assert (flow.kind, flow.events, flow.prefix) == (fastpath.LINES, select.EPOLLIN, b"> ")
    assert (flow.read_size, flow.limit, flow.port) == (100, 50, "port")
    assert (flow.slot, flow.framer, flow.unsent, flow.afterwards, flow._sock) == (None,) * 5
    assert (flow.received, flow.sent, flow.fast_messages) == (0, 0, 0)
