"""The time of a round trip over two transports in turns: the ratio and its quartiles.

Both ends are Python processes that block in read(2), so the difference between the transports is
the kernel's. The interpreter adds the same time to each, which makes every ratio smaller than in C.
"""

import os
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum

from localechod.bench.processor import pinned, usable
from localechod.bench.quartiles import Quartiles
from localechod.lab.process import Process, ProcessSpec

MESSAGE = b"x" * 64
ROUNDS = 30
ROUND_TRIPS = 150

_CLEARLY = 1.05  # a smaller ratio is not "more efficient", even where it is above the noise


class EchoTransport(Enum):
    """A transport to an echo process."""

    LOCAL_STREAM = "AF_UNIX SOCK_STREAM"
    LOCAL_DATAGRAM = "AF_UNIX SOCK_DGRAM"
    TCP = "AF_INET SOCK_STREAM (TCP)"
    UDP = "AF_INET SOCK_DGRAM (UDP)"
    PIPES = "2 pipes"


@dataclass(frozen=True, slots=True)
class Ratio:
    """The time of the second transport divided by that of the first.

    Attributes:
        medians: microseconds of a round trip, by the transport's name.
        quartiles: of the ratios between adjacent rounds.
    """

    medians: dict[str, float]
    quartiles: Quartiles

    @property
    def clearly_faster(self) -> bool:
        """Whether the first transport was faster in three quarters of the rounds."""
        return self.quartiles.low > _CLEARLY

    @property
    def clearly_slower(self) -> bool:
        """Whether the first transport was slower in three quarters of the rounds."""
        return self.quartiles.high < 1 / _CLEARLY


def compare(one: EchoTransport, other: EchoTransport) -> Ratio:
    """Measure two transports in turns, after a warm-up, with both ends on one processor.

    On two processors, waking the other one takes six times as long as the rest, and the kernel may
    use two processors for one transport and a single one for the other.

    Raises:
        OSError: a transport is unavailable here.
    """
    times: dict[EchoTransport, list[float]] = {one: [], other: []}
    with pinned(usable()[-1]), ExitStack() as stack:
        ends = {echo: stack.enter_context(_echo(echo)) for echo in (one, other)}
        for round_ in range(ROUNDS + 1):
            for echo, descriptors in ends.items():
                microseconds = _round(*descriptors)
                if round_:
                    times[echo].append(microseconds)
    medians = {echo.value: statistics.median(each) for echo, each in times.items()}
    return Ratio(medians, Quartiles.of_ratios(times[other], times[one]))


def _round(reads: int, writes: int) -> float:
    started = time.perf_counter_ns()
    for _ in range(ROUND_TRIPS):
        os.write(writes, MESSAGE)
        os.read(reads, len(MESSAGE))
    return (time.perf_counter_ns() - started) / ROUND_TRIPS / 1000


@contextmanager
def _echo(echo: EchoTransport) -> Iterator[tuple[int, int]]:
    """Yield the descriptors to read from and to write to."""
    with ExitStack() as stack:
        if echo is EchoTransport.PIPES:
            there, back = os.pipe(), os.pipe()
            for descriptor in (*there, *back):
                stack.callback(os.close, descriptor)
            ours, theirs = (back[0], there[1]), (there[0], back[1])
        else:
            near, far = map(stack.enter_context, _pair(echo))
            ours, theirs = (near.fileno(),) * 2, (far.fileno(),) * 2
        process = Process(ProcessSpec("echo", "/"), lambda: _serve(*theirs), keep=theirs)
        stack.callback(process.close)
        yield ours


def _serve(reads: int, writes: int) -> None:
    while True:  # until the process is killed
        os.write(writes, os.read(reads, len(MESSAGE)))


def _pair(echo: EchoTransport) -> tuple[socket.socket, socket.socket]:
    if echo is EchoTransport.LOCAL_STREAM:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    if echo is EchoTransport.LOCAL_DATAGRAM:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    if echo is EchoTransport.TCP:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            far, _ = listener.accept()
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return near, far
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (near, far):
        sock.bind(("127.0.0.1", 0))
    near.connect(far.getsockname())
    far.connect(near.getsockname())
    return near, far
