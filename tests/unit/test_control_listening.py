"""Clients of the control socket beyond a limit are refused as they are accepted."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localechod.control.access import Admins
from localechod.control.interceptor import Interceptor
from localechod.control.limits import CallerLimits
from localechod.control.listening import ListeningSocket
from localechod.echo.peer_log import PeerLog
from localechod.echo.reasons import Reason
from localechod.limits import BURST_BYTES, CONTROL_CONNECTIONS_PER_USER
from tests.unit.control_fakes import listener


class World:
    def __init__(self, path: Path, stack: ExitStack, privileged: set[int]) -> None:
        self.path, self.stack = path, stack
        nobody = Admins(frozenset(), frozenset())
        self.interceptor = Interceptor(
            nobody, CallerLimits(privileged), lambda _event: None, PeerLog()
        )
        self.listening = ListeningSocket(listener(path), self.interceptor)
        self.listening.setblocking(False)
        stack.callback(self.listening.close)

    def connect(self) -> socket.socket:
        sock = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        sock.connect(str(self.path))
        return sock

    def event(self) -> int:
        """Accept as asyncio does: until none is left for this event."""
        count = 0
        while True:
            try:
                self.stack.enter_context(self.listening.accept()[0])
            except BlockingIOError:
                return count
            count += 1


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_one_event_admits_a_few_clients(sockdir: Path, stack: ExitStack) -> None:
    world = World(sockdir / "control.sock", stack, {0})
    for _ in range(20):
        world.connect()
    assert [world.event() for _ in range(4)] == [8, 8, 4, 0]


def test_a_client_beyond_a_limit_is_hung_up_on_and_counted(sockdir: Path, stack: ExitStack) -> None:
    world = World(sockdir / "control.sock", stack, set())
    clients = [world.connect() for _ in range(CONTROL_CONNECTIONS_PER_USER + 1)]
    admitted = 0
    while count := world.event():
        admitted += count
        for _ in range(count):
            world.interceptor.limits.connect(os.geteuid())
    assert admitted == CONTROL_CONNECTIONS_PER_USER
    assert clients[-1].recv(1) == b""
    assert world.interceptor.errors == {Reason.USER_LIMIT: 1}


@pytest.mark.parametrize(("seconds", "events"), [(60.0, 1), (0.0, 100)])
def test_one_event_refuses_clients_for_a_time(
    sockdir: Path,
    stack: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
    events: int,
) -> None:
    monkeypatch.setattr("localechod.control.listening.MOST_CONTROL_TIME", seconds)
    world = World(sockdir / "control.sock", stack, set())
    world.interceptor.limits.spend(os.geteuid(), 2 * BURST_BYTES, time.monotonic())
    clients = [world.connect() for _ in range(100)]
    for number in range(1, events + 1):
        assert world.event() == 0
        assert world.interceptor.errors == {Reason.BYTE_LIMIT: number * 100 // events}
    assert [client.recv(1) for client in clients] == [b""] * 100
    assert len(caplog.records) == 1
