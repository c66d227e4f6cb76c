"""Descriptors of clients: limits by user, and closes that block."""

import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest

from localechod.echo.passed import PassedDescriptors, control, received
from localechod.limits import PASSED, PASSED_UNREAD_PER_USER

ALICE, MALLORY = 1, 2


@pytest.fixture
def ours() -> Iterator[int]:
    """A socket whose peer reads nothing, but has everything that was sent."""
    here, there = socket.socketpair()
    with here, there:
        yield here.fileno()


@pytest.fixture
def slow() -> Iterator[list[int]]:
    """Descriptors whose close waits: of TCP sockets with SO_LINGER, whose peer does not read."""
    made = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        peers = []
        for _ in range(PASSED + 2):
            client = socket.create_connection(server.getsockname())
            peers.append(server.accept()[0])
            client.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    client.send(bytes(1 << 18))
            client.setblocking(True)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
            made.append(client.detach())
        yield made
        for peer in peers:
            peer.close()  # with unread bytes, which resets it and ends the wait


def test_a_user_whose_closes_block_gets_none_and_others_do(slow: list[int]) -> None:
    passed = PassedDescriptors()
    passed.close(MALLORY, slow)
    assert passed.space(MALLORY) == 0
    assert passed.space(ALICE) > 0
    reading, writing = os.pipe()
    passed.close(ALICE, [writing])
    assert select.select([reading], [], [], 10)[0]  # end of file
    os.close(reading)


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
