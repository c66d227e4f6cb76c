"""Descriptors of clients: limits by user, and closes that block."""

import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from localechod.echo.passed import PassedDescriptors
from localechod.limits import PASSED_CLOSING, PASSED_UNREAD_PER_USER
from localechod.localsocket.rights import control, received

ALICE, MALLORY = 1, 2


@pytest.fixture
def ours() -> Iterator[int]:
    """A socket whose peer reads nothing, but has everything that was sent."""
    here, there = socket.socketpair()
    with here, there:
        yield here.fileno()


def test_a_user_whose_closes_block_gets_none_and_others_do() -> None:
    passed = PassedDescriptors()
    slow, peer = closing_slowly()
    passed.close(MALLORY, [slow, *(os.dup(0) for _ in range(PASSED_CLOSING + 1))])
    assert passed.space(MALLORY) == 0
    assert passed.space(ALICE) > 0
    reading, writing = os.pipe()
    passed.close(ALICE, [writing])
    assert select.select([reading], [], [], 10)[0]  # end of file
    os.close(reading)
    peer.close()  # with unread bytes, which resets the other end: the close is over
    deadline = time.monotonic() + 10
    while not passed.space(MALLORY):
        assert time.monotonic() < deadline
        select.select([], [], [], 0.01)


def closing_slowly() -> tuple[int, socket.socket]:
    """Return a TCP socket with SO_LINGER, and its peer, which does not read."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer, _ = server.accept()
    client.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            client.send(bytes(1 << 18))
    client.setblocking(True)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
    return client.detach(), peer


def test_what_is_unread_is_limited_and_counts_no_more_when_it_was_read(ours: int) -> None:
    passed = PassedDescriptors()
    another, peer = socket.socketpair()
    with another, peer:
        passed.sent_back(MALLORY, another.fileno(), PASSED_UNREAD_PER_USER)
        assert passed.space(MALLORY) > 0  # it is not unread at all
        os.write(ours, b"x")
        passed.sent_back(MALLORY, ours, PASSED_UNREAD_PER_USER)
        assert passed.space(MALLORY) == 0
        assert passed.space(ALICE) > 0
        passed.forget(ours)
        assert passed.space(MALLORY) > 0


def test_control_data_goes_both_ways() -> None:
    assert received(control([3, 4, 5])) == [3, 4, 5]
    assert control([]) == []
    assert received([(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, bytes(12))]) == []
