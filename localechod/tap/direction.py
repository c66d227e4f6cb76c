"""One way through a relay: what one socket sends is passed on to the other, and nothing gathers."""

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

from localechod.localsocket.rights import control, received

LARGEST = 1 << 20  # a record is at most as large as a send buffer: 208 KiB by default
DESCRIPTORS = socket.CMSG_SPACE(253 * 4) + socket.CMSG_SPACE(12)  # SCM_MAX_FD, and a ucred
_buffer = bytearray(LARGEST)  # one for all: what is read is copied before the next read

TO_SERVER, TO_CLIENT = ">", "<"


class Watcher(Protocol):
    """Hears of what passes on a connection."""

    def passed(self, direction: str, data: bytes, descriptors: int) -> None:
        """Data, with passed descriptors, in one piece as it was read."""

    def noted(self, direction: str, note: str) -> None:
        """Something else that a reader should know."""

    def ended(self, direction: str, reason: str) -> None:
        """No more data comes: "end of file", or the reason why."""


class Owner(Protocol):
    """Has both directions."""

    def ended(self, direction: str, *, both: bool, reset: bool = False) -> None:
        """One direction has ended; `reset`: its source was closed with unread data (unix(7))."""

    def ignore_client(self) -> None:
        """Read nothing more from the client."""


class Direction:
    """One way through a relay. It reads only when all that it read before has been written.

    Args:
        source: read from; non-blocking, as both are.
        sink: written to.
        name: TO_SERVER or TO_CLIENT.
        watcher: hears of what passes.
        owner: hears of the end.
    """

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        name: str,
        watcher: Watcher,
        owner: Owner,
    ) -> None:
        self._source, self._sink, self._name = source, sink, name
        self._watcher, self._owner = watcher, owner
        self._type = source.type
        self._loop = asyncio.get_running_loop()
        self._rest: memoryview | None = None
        self._rights: list[int] = []
        self._most: int | None = None  # bytes that are written at once
        self._later: asyncio.Handle | None = None
        self._finishing = self._stopped = False
        self._loop.add_reader(source, self._read)

    def finish(self) -> None:
        """End as soon as nothing is left to be read."""
        self._finishing = True
        if self._stopped:
            self._owner.ended(self._name, both=True)
        else:
            self._read_on()

    def _read_on(self) -> None:
        """Read at once, also at the end, unless a message waits for space in the sink."""
        if self._rest is None:
            self._read()

    def stop(self) -> None:
        """Watch neither socket any more, and close descriptors that were not passed on."""
        self._stopped = True
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._source)
        self._loop.remove_writer(self._sink)
        self._close_rights()

    def _read(self) -> None:
        try:
            size, ancillary, flags, _ = self._source.recvmsg_into(
                [_buffer], DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            if self._finishing:
                self._owner.ended(self._name, both=True)
            return
        except OSError as error:
            self._fail(error)
            return
        self._rights = received(ancillary)
        if not size and self._at_end(ancillary):
            self._end()
            return
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            self._watcher.noted(self._name, "a record or its descriptors were cut")
        self._take(bytes(memoryview(_buffer)[:size]))

    def _at_end(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """Tell whether 0 bytes are the end of file: an empty record has credentials with it."""
        return self._type == socket.SOCK_STREAM or (
            self._type == socket.SOCK_SEQPACKET and not ancillary
        )

    def _take(self, data: bytes) -> None:
        """Pass on what was read in one piece, with the descriptors in `_rights`."""
        self._watcher.passed(self._name, data, len(self._rights))
        self._write(memoryview(data))

    def _write(self, data: memoryview) -> None:
        try:
            sent = self._sink.sendmsg(
                [data[: self._most]], control(self._rights), socket.MSG_NOSIGNAL
            )
        except BlockingIOError:
            self._wait(data)
            return
        except OSError as error:
            self._fail(error)
            return
        self._close_rights()
        if sent < len(data):
            self._go_on(data[sent:])
        else:
            self._written()

    def _go_on(self, rest: memoryview) -> None:
        """A part has been written."""
        self._wait(rest)

    def _wait(self, rest: memoryview) -> None:
        """Wait for space in the sink; nothing is read meanwhile."""
        if self._rest is None:
            self._loop.remove_reader(self._source)
            self._loop.add_writer(self._sink, self._resume)
        self._rest = rest

    def _resume(self) -> None:
        assert self._rest is not None  # noqa: S101 - watched only then
        self._write(self._rest)

    def _written(self) -> None:
        """All has been written."""
        if self._rest is not None:
            self._rest = None
            self._loop.remove_writer(self._sink)
            self._loop.add_reader(self._source, self._read)
        if self._finishing:
            self._later = self._loop.call_soon(self._read_on)

    def _end(self) -> None:
        self._watcher.ended(self._name, "end of file")
        self._pass_on_end()

    def _pass_on_end(self) -> None:
        """After end of file: a source that has gone altogether ends the other direction too.

        Then the sink is closed and not shut down before, so that a client that reads the end of
        file cannot write any more, as without the relay.
        """
        self._loop.remove_reader(self._source)
        gone = hung_up(self._source)
        if not gone:
            with suppress(OSError):
                self._sink.shutdown(socket.SHUT_WR)
        self._owner.ended(self._name, both=gone)

    def _fail(self, error: OSError) -> None:
        self._watcher.ended(self._name, error.strerror or "")
        self._owner.ended(self._name, both=True, reset=error.errno == errno.ECONNRESET)

    def _close_rights(self) -> None:
        for descriptor in self._rights:
            os.close(descriptor)
        self._rights = []


# Makes both ways between a client's socket and a server's: of requests, and of replies.
Directions: TypeAlias = Callable[
    [socket.socket, socket.socket, Watcher, Owner], tuple[Direction, Direction]
]


def plain(
    client: socket.socket, server: socket.socket, watcher: Watcher, owner: Owner
) -> tuple[Direction, Direction]:
    """Return both ways of a relay that keeps everything."""
    return (
        Direction(client, server, TO_SERVER, watcher, owner),
        Direction(server, client, TO_CLIENT, watcher, owner),
    )


def hung_up(sock: socket.socket) -> bool:
    """Tell whether the peer closed its socket, and did not only shut down its writes."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))
