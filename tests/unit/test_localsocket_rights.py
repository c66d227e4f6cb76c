"""A passed descriptor whose release waits, as of a client that connected before the refusal."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from localechod.echo.eventloop import EventLoop
from localechod.echo.reactor import Reactor

# A linger of ten minutes: the process ends in time only if the wait is ended.
PROGRAM = """
import asyncio, select, socket, struct
from localechod.echo.eventloop import EventLoop
from localechod.echo.reactor import Reactor

server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
other = server.accept()[0]
client.setblocking(False)
try:
    while True:
        client.send(bytes(65536))
except BlockingIOError:
    pass
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
reader, writer = socket.socketpair()
socket.send_fds(writer, [b"x"], [client.fileno()])
client.close()

class Handler:
    def serve(self, events):
        print(reader.recv(1).decode())
        reactor.loop.stop()

reactor = Reactor()
reactor.interrupt_releases()
loop = EventLoop(reactor)
reactor.register(reader.fileno(), select.EPOLLIN, Handler())
loop.run_forever()
reactor.stop_alarm()
"""


@pytest.mark.parametrize("pure", ["", "1"], ids=["compiled", "python"])
def test_a_signal_ends_the_wait_for_a_release(pure: str) -> None:
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"LOCALECHOD_PURE_PYTHON": pure},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "x\n", "")


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    before = signal.getsignal(signal.SIGALRM)
    made = Reactor()
    yield made
    made.stop_alarm()
    signal.signal(signal.SIGALRM, before)


def test_an_idle_process_gets_no_signals(reactor: Reactor) -> None:
    """An event starts the timer; the first signal that finds nothing served stops it."""

    async def idle() -> None:
        loop = asyncio.get_running_loop()
        waiting = loop.create_future()
        handler = signal.getsignal(signal.SIGALRM)
        assert callable(handler)

        def rang(number: int, frame: FrameType | None) -> None:
            handler(number, frame)
            if not signal.getitimer(signal.ITIMER_REAL)[1] and not waiting.done():
                waiting.set_result(None)

        signal.signal(signal.SIGALRM, rang)
        loop.call_soon_threadsafe(lambda: None)  # an event: a byte in a pipe of the loop
        await waiting

    reactor.interrupt_releases()
    assert reactor.alarm > 0
    with asyncio.Runner(loop_factory=lambda: EventLoop(reactor)) as runner:
        runner.run(idle())
        assert signal.getitimer(signal.ITIMER_REAL)[1] == 0
        assert reactor.alarm > 0


def test_signals_go_on_while_something_is_served(reactor: Reactor) -> None:
    """In one turn, and in what a timer calls, more than one release may wait."""
    rings: list[int] = []
    counted: list[bool] = []

    def wait_for_two() -> None:
        del rings[:]
        deadline = time.monotonic() + 5
        while len(rings) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        counted.append(len(rings) == 2)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        handler = signal.getsignal(signal.SIGALRM)
        assert callable(handler)

        def rang(number: int, frame: FrameType | None) -> None:
            rings.append(number)
            handler(number, frame)

        signal.signal(signal.SIGALRM, rang)
        done = loop.create_future()

        def after_an_idle_time() -> None:
            wait_for_two()
            done.set_result(None)

        def by_an_event() -> None:
            loop.remove_reader(reader)
            os.close(reader)
            wait_for_two()
            loop.call_later(0.3, after_an_idle_time)  # the signals have stopped before

        reader, writer = os.pipe()
        loop.add_reader(reader, by_an_event)
        os.write(writer, b"x")
        await done
        os.close(writer)

    reactor.interrupt_releases()
    with asyncio.Runner(loop_factory=lambda: EventLoop(reactor)) as runner:
        runner.run(serve())
    assert counted == [True, True]
