"""Messages for a receiver whose queue somebody keeps full."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from localechod.host.datagram_queue import DatagramQueue

_FILLER = b"STATUS=of another user"
_END = "READY=1"


@pytest.fixture
def manager(sockdir: Path) -> Iterator[socket.socket]:
    """A service manager's socket, whose queue another sender has filled."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
    ):
        end.bind(str(sockdir / "notify"))
        end.settimeout(5)
        other.connect(str(sockdir / "notify"))
        other.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                other.send(_FILLER)
        yield end


def until_the_end(manager: socket.socket) -> tuple[list[str], list[int]]:
    """Return the messages of the queue, and the descriptors that came with them."""
    texts: list[str] = []
    descriptors: list[int] = []
    while not texts or texts[-1] != _END:
        data, passed, _, _ = socket.recv_fds(manager, 4096, 4)
        texts += [data.decode()] if data != _FILLER else []
        descriptors += passed
    return texts, descriptors


def failed(error: OSError, data: str) -> None:
    raise AssertionError(error, data)


def queue_for(
    manager: socket.socket,
    failed: Callable[[OSError, str], None] = failed,
    most: int = 100,
) -> DatagramQueue[str]:
    """A queue that sends by a call which would wait for space, as libsystemd's do."""

    def deliver(text: str, descriptors: list[int]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(manager.getsockname())
            sock.settimeout(1)
            socket.send_fds(sock, [text.encode()], descriptors)

    return DatagramQueue(manager.getsockname(), deliver, failed, most)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_full_queue_delays_no_loop_and_loses_no_message(manager: socket.socket) -> None:
    queue = queue_for(manager)
    before = open_descriptors()

    async def send() -> None:
        reader, writer = os.pipe()
        queue.send("WATCHDOG=1", name="WATCHDOG")
        queue.send("FDSTORE=1\nFDNAME=a", [writer])
        os.close(writer)
        queue.send("STATUS=old", name="STATUS")
        queue.send("WATCHDOG=1", name="WATCHDOG")
        queue.send("STATUS=new", name="STATUS")
        queue.send(_END)
        await asyncio.sleep(0)
        assert not queue.is_empty
        texts, (stored,) = await asyncio.to_thread(until_the_end, manager)
        assert texts == ["WATCHDOG=1", "FDSTORE=1\nFDNAME=a", "STATUS=new", _END]
        os.write(stored, b"same pipe")
        assert os.read(reader, 20) == b"same pipe"
        os.close(reader)
        os.close(stored)
        assert queue.is_empty

    asyncio.run(send())
    assert open_descriptors() == before


def test_without_a_loop_it_waits_for_space(manager: socket.socket) -> None:
    queue = queue_for(manager)
    texts: list[str] = []
    thread = Thread(target=lambda: texts.extend(until_the_end(manager)[0]))
    thread.start()
    queue.send("STATUS=first")
    queue.send(_END)
    thread.join()
    assert texts == ["STATUS=first", _END]
    assert queue.is_empty


def test_at_the_end_a_flush_waits_for_space_as_long_as_it_may(manager: socket.socket) -> None:
    queue = queue_for(manager)

    async def send() -> None:
        queue.send(_END)
        assert not queue.flush(0.01)
        thread = Thread(target=until_the_end, args=[manager])
        thread.start()
        assert queue.flush(5)
        thread.join()

    asyncio.run(send())


def test_beyond_a_limit_messages_are_dropped_and_told(manager: socket.socket) -> None:
    dropped: list[tuple[int | None, str]] = []

    def note(error: OSError, data: str) -> None:
        dropped.append((error.errno, data))

    queue = queue_for(manager, note, 2)

    async def send() -> None:
        for text in ("STATUS=x", _END, "STATUS=y"):
            queue.send(text)
        assert dropped == [(errno.EAGAIN, "STATUS=y")]
        texts, _ = await asyncio.to_thread(until_the_end, manager)
        assert texts == ["STATUS=x", _END]

    asyncio.run(send())
    assert queue.failures == 1
