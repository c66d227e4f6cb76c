"""The relay of datagrams that listens at a path of its own, with a pair of sockets for each client.

A client's datagrams come to one socket, with the sender's name. So each client has a relay of its
own, whose client's end is one of a pair; the other one leads to that client. Replies come from the
name that the client has sent to, as without the relay.
"""

import asyncio
import os
import socket
import struct
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from localechod.localsocket.address import Address
from localechod.localsocket.peer import command
from localechod.localsocket.rights import control, received
from localechod.tap.datagrams import MOST, server_end
from localechod.tap.direction import DESCRIPTORS, LARGEST, Directions
from localechod.tap.record import Recorder
from localechod.tap.relay import Relay

_UCRED = struct.Struct("iII")  # unix(7)

Name = str | bytes | None


class _Client(NamedTuple):
    """The socket that leads to a client, the one that talks with the server, and their relay."""

    inner: socket.socket
    back: socket.socket
    relay: Relay


class DatagramListener:
    """Relays what comes to a socket.

    Args:
        target: the server's address.
        listener: a bound socket; not owned.
        recorder: hears of clients and messages.
        directions: makes the ways of a relay.
    """

    def __init__(
        self,
        target: Address,
        listener: socket.socket,
        recorder: Recorder,
        directions: Directions,
    ) -> None:
        self._target, self._listener = target, listener
        self._recorder, self._directions = recorder, directions
        self._loop = asyncio.get_running_loop()
        self._clients: OrderedDict[Name, _Client] = OrderedDict()
        self._free, self._idle = asyncio.Event(), asyncio.Event()
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._listen()

    async def finish(self) -> None:
        """Pass on what has come, and return when the server has taken it."""
        while self._read() or not self._free.is_set():
            await self._free.wait()
        for client in list(self._clients.values()):
            client.relay.finish()
        if self._clients:
            await self._idle.wait()

    def close(self) -> None:
        """Close all relays."""
        self._loop.remove_reader(self._listener)
        for client in list(self._clients.values()):
            client.relay.close()

    def _listen(self) -> None:
        self._free.set()
        self._loop.add_reader(self._listener, self._read)

    def _read(self) -> bool:
        """Pass one datagram on to its relay; False if there is none, or the last one waits."""
        if not self._free.is_set():
            return False
        try:
            data, ancillary, _, name = self._listener.recvmsg(
                LARGEST, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return False
        rights = received(ancillary)
        sender = _process(ancillary)
        try:
            inner = self._client(name or None, sender).inner
        except OSError as error:
            self._dropped(f"a datagram of {sender}", error)
            _close(rights)
        else:
            self._forward(inner, data, rights)
        return True

    def _dropped(self, what: str, error: OSError) -> None:
        self._recorder.display.say(
            f"tap: {what} is dropped: {error.strerror} ({error.errno}): {self._target}"
        )

    def _forward(self, inner: socket.socket, data: bytes, rights: list[int]) -> None:
        """Hand a datagram to a relay; while that is full, nothing is read from any client."""
        self._loop.remove_writer(inner)
        try:
            inner.sendmsg([data], control(rights))
        except BlockingIOError:
            self._free.clear()
            self._loop.remove_reader(self._listener)
            self._loop.add_writer(inner, self._forward, inner, data, rights)
            return
        except OSError as error:
            self._dropped("a datagram", error)
        _close(rights)
        self._listen()

    def _client(self, name: Name, sender: str) -> _Client:
        """Return the client of this name, which is new where it has sent nothing before.

        Raises:
            OSError: as connect(2) to the server says it.
        """
        if found := self._clients.get(name):
            found.back.connect(self._target.sockaddr)  # see Datagrams
            self._clients.move_to_end(name)
            return found
        if len(self._clients) >= MOST:
            next(iter(self._clients.values())).relay.close()
        back = server_end(self._target, replies=name is not None)
        front, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        inner.setblocking(False)
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
        record = self._recorder.begin(sender, stream=False)

        def closed() -> None:
            del self._clients[name]
            self._loop.remove_reader(inner)
            if self._loop.remove_writer(inner):
                self._listen()
            inner.close()
            record.closed()
            if not self._clients:
                self._idle.set()

        relay = Relay((front, back), record, self._directions, lambda: None, closed)
        self._clients[name] = _Client(inner, back, relay)
        self._loop.add_reader(inner, self._reply, name)
        return self._clients[name]

    def _reply(self, name: Name) -> None:
        """Send a reply to its client, in the name of the listener.

        No event tells that a client that has connected to the listener reads again.
        """
        client = self._clients[name]
        try:
            data, ancillary, _, _ = client.inner.recvmsg(
                LARGEST, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        rights = received(ancillary)
        try:
            self._listener.sendmsg([data], control(rights), 0, name)
        except BlockingIOError as error:
            self._dropped("a reply to a client that does not read", error)
        except OSError:  # the client has gone
            client.relay.close()
        finally:
            _close(rights)


def _process(ancillary: Iterable[tuple[int, int, bytes]]) -> str:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid = _UCRED.unpack(data)[0]
            return f"{command(pid) or 'a process'} ({pid})"
    return "a process"


def _close(rights: list[int]) -> None:
    for each in rights:
        os.close(each)
