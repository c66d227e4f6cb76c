"""The relay between a client and a server; it keeps what the two ends would notice.

Kept: bytes, records and their boundaries, passed descriptors, half-close, back-pressure, and that
the other end has gone. Each direction reads only when all that it read before has been written.
"""

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from localechod.localsocket.rights import control, received

_LARGEST = 1 << 20  # a record is at most as large as a send buffer: 208 KiB by default
_DESCRIPTORS = socket.CMSG_SPACE(253 * 4) + socket.CMSG_SPACE(12)  # SCM_MAX_FD, and a ucred
_buffer = bytearray(_LARGEST)  # one for all: what is read is copied before the next read

TO_SERVER, TO_CLIENT = ">", "<"


class Watcher(Protocol):
    """Hears of what passes on a connection."""

    def passed(self, direction: str, data: bytes, descriptors: int) -> None:
        """Data, with passed descriptors, in one piece as it was read."""

    def ended(self, direction: str, reason: str) -> None:
        """No more data comes: "end of file", or the reason why."""


class Relay:
    """Passes on what the sockets of a client and of a server send each other.

    Args:
        client: connected to the client, non-blocking; owned from now on.
        server: connected to the server, of the same type.
        watcher: hears of all that passes.
        reset: makes the client's next read fail with ECONNRESET once `client` is closed.
        closed: called once, when both sockets have been closed.
    """

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket,
        watcher: Watcher,
        reset: Callable[[], None],
        closed: Callable[[], None],
    ) -> None:
        self._sockets = (client, server)
        self._reset = reset
        self._closed = closed
        self._open = {TO_SERVER, TO_CLIENT}
        for sock in self._sockets:
            _prepare(sock)
        self._directions: tuple[_Direction, ...] = (
            _Direction(client, server, TO_SERVER, watcher, self._ended),
            _Direction(server, client, TO_CLIENT, watcher, self._ended),
        )

    def _ended(self, direction: str, *, both: bool, reset: bool = False) -> None:
        """One direction has ended; `reset`: its source was closed with unread data (unix(7))."""
        if reset and direction == TO_CLIENT:
            self._reset()
        self._open.discard(direction)
        if both or not self._open:
            self.close()

    def finish(self) -> None:
        """Pass on what a datagram client has sent, then close: its end cannot be noticed."""
        if self._directions:
            self._directions[0].finish()

    def close(self) -> None:
        """Close both sockets, with what was not passed on; a second call does nothing."""
        if self._directions:
            for direction in self._directions:
                direction.stop()
            self._directions = ()
            for sock in self._sockets:
                sock.close()
            self._closed()


def _prepare(sock: socket.socket) -> None:
    sock.setblocking(False)
    # As large as allowed, for records of a client with a large buffer of its own.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
    if sock.type == socket.SOCK_SEQPACKET:
        # An empty record reads as 0 bytes, as the end of file does, but has credentials.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


class _Direction:
    """One way through a relay."""

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        name: str,
        watcher: Watcher,
        ended: Callable[..., None],
    ) -> None:
        self._source, self._sink, self._name = source, sink, name
        self._watcher, self._ended = watcher, ended
        self._type = source.type
        self._loop = asyncio.get_running_loop()
        self._rest: bytes | None = None
        self._rights: list[int] = []
        self._finishing = False
        self._loop.add_reader(source, self._read)

    def finish(self) -> None:
        """End as soon as nothing is left to be read."""
        self._finishing = True
        if self._rest is None:
            self._read()

    def stop(self) -> None:
        """Watch neither socket any more, and close descriptors that were not passed on."""
        self._loop.remove_reader(self._source)
        self._loop.remove_writer(self._sink)
        self._close_rights()

    def _read(self) -> None:
        try:
            size, ancillary, flags, _ = self._source.recvmsg_into(
                [_buffer], _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            if self._finishing:
                self._ended(self._name, both=True)
            return
        except OSError as error:
            self._fail(error)
            return
        self._rights = received(ancillary)
        if not size and self._at_end(ancillary):
            self._end()
            return
        data = bytes(memoryview(_buffer)[:size])
        self._watcher.passed(self._name, data, len(self._rights))
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            self._watcher.ended(self._name, "a record or its descriptors were cut")
        self._write(data)

    def _at_end(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        """Tell whether 0 bytes are the end of file: an empty record has credentials with it."""
        return self._type == socket.SOCK_STREAM or (
            self._type == socket.SOCK_SEQPACKET and not ancillary
        )

    def _write(self, data: bytes) -> None:
        try:
            sent = self._sink.sendmsg([data], control(self._rights), socket.MSG_NOSIGNAL)
        except BlockingIOError:
            sent = -1
        except OSError as error:
            self._fail(error)
            return
        if sent >= 0:
            self._close_rights()
        self._wait(data[max(sent, 0) :] if sent < len(data) else None)

    def _wait(self, rest: bytes | None) -> None:
        """Wait for space in the sink where there is a rest, and otherwise for the source."""
        if rest is None:
            if self._rest is not None:
                self._loop.remove_writer(self._sink)
                self._loop.add_reader(self._source, self._read)
        elif self._rest is None:
            self._loop.remove_reader(self._source)
            self._loop.add_writer(self._sink, self._resume)
        self._rest = rest

    def _resume(self) -> None:
        assert self._rest is not None  # noqa: S101 - watched only then
        self._write(self._rest)

    def _end(self) -> None:
        """After end of file: a source that has gone altogether ends the other direction too.

        Then the sink is closed and not shut down before, so that a client that reads the end of
        file cannot write any more, as without the relay.
        """
        self._watcher.ended(self._name, "end of file")
        self._loop.remove_reader(self._source)
        gone = _hung_up(self._source)
        if not gone:
            with suppress(OSError):
                self._sink.shutdown(socket.SHUT_WR)
        self._ended(self._name, both=gone)

    def _fail(self, error: OSError) -> None:
        self._watcher.ended(self._name, error.strerror or "")
        self._ended(self._name, both=True, reset=error.errno == errno.ECONNRESET)

    def _close_rights(self) -> None:
        for descriptor in self._rights:
            os.close(descriptor)
        self._rights = []


def _hung_up(sock: socket.socket) -> bool:
    """Tell whether the peer closed its socket, and did not only shut down its writes."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))
