"""The relay of datagrams: a pair of sockets for each client that has a name.

A client without a name gets no replies, with or without a relay; all of those share one pair.
"""

import errno
import os
import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from localechod.localsocket.address import Address
from localechod.localsocket.rights import control
from localechod.tap.caller import Caller
from localechod.tap.direction import Directions
from localechod.tap.meeting import Meeting
from localechod.tap.memory import MMSGHDR_LENGTH, Message
from localechod.tap.record import Recorder
from localechod.tap.relay import Relay
from localechod.tap.supervision import Call

_LARGEST = 1 << 20
MOST = 256  # clients; beyond, the one that was silent for longest is forgotten
_LENGTH = 4  # of msg_len


class _Pair(NamedTuple):
    """The path that a client sends to, the socket that talks with the server, and their relay."""

    path: str
    back: socket.socket
    relay: Relay


class Datagrams:
    """Answers the datagram calls of the command.

    Args:
        target: the server's address.
        meeting: the directory for our sockets.
        recorder: hears of clients and messages.
        directions: makes the ways of a relay.
        closed: called when a relay has been closed.
    """

    def __init__(
        self,
        target: Address,
        meeting: Meeting,
        recorder: Recorder,
        directions: Directions,
        closed: Callable[[], None],
    ) -> None:
        self._target, self._meeting, self._recorder = target, meeting, recorder
        self._directions, self._closed = directions, closed
        # The client's name as the key
        self._pairs: OrderedDict[bytes, _Pair] = OrderedDict()

    def relays(self) -> list[Relay]:
        """Return the relays of all clients."""
        return [pair.relay for pair in self._pairs.values()]

    def connect(self, client: socket.socket, caller: Caller) -> int:
        """Connect the client's socket to a pair; return 0 or a negative errno."""
        try:
            client.connect(self._pair(client, caller))
        except OSError as error:
            return -(error.errno or errno.EIO)
        return 0

    def sendto(self, caller: Caller, call: Call) -> int | Callable[[], int] | None:
        """Answer a call that sends bytes to an address."""
        number, start, size, flags, name, name_size = call.args
        target = caller.memory.name(name, name_size & 0xFFFFFFFF)
        if target is None or not caller.means(target, self._target):
            return None
        if size > _LARGEST:
            return -errno.EMSGSIZE
        return self._send(caller, number, Message(target, caller.memory.read(start, size)), flags)

    def sendmsg(self, caller: Caller, call: Call, *, many: bool) -> int | Callable[[], int] | None:
        """Answer a call that sends a message; of many, the first is sent alone."""
        number, start, *rest = call.args
        flags = rest[1] if many else rest[0]
        message = caller.memory.message(start)
        if message.name is None or not caller.means(message.name, self._target):
            return None
        sent = self._send(caller, number, message, flags)
        if not many or callable(sent) or sent < 0:
            return sent
        caller.memory.write(start + MMSGHDR_LENGTH, sent.to_bytes(_LENGTH, "little"))
        return 1

    def _send(
        self, caller: Caller, number: int, message: Message, flags: int
    ) -> int | Callable[[], int]:
        client = caller.socket(number & 0xFFFFFFFF)
        if client is None:
            return -errno.ENOTSOCK
        with ExitStack() as undo:
            undo.callback(client.close)
            rights = []
            for each in message.descriptors:
                rights.append(caller.descriptor(each))
                undo.callback(os.close, rights[-1])
            try:
                path = self._pair(client, caller)
            except OSError as error:
                return -(error.errno or errno.EIO)
            ancillary = control(rights)

            def send(more: int) -> int:
                try:
                    return client.sendmsg([message.data], ancillary, flags | more, path)
                except OSError as error:
                    return -(error.errno or errno.EIO)

            sent = send(socket.MSG_DONTWAIT)
            waits = os.get_blocking(client.fileno()) and not flags & socket.MSG_DONTWAIT
            if sent != -errno.EAGAIN or not waits:
                return sent
            kept = undo.pop_all()

        def wait() -> int:
            with kept:
                return send(0)

        return wait

    def _pair(self, client: socket.socket, caller: Caller) -> str:
        """Return the path that a client sends to; the pair is new where it has none.

        Raises:
            OSError: as connect(2) to the server says it.
        """
        name = os.fsencode(client.getsockname() or b"")
        reply = name if name.startswith((b"\0", b"/")) or not name else caller.located(name)
        if found := self._pairs.get(reply):
            # The server may have bound its address again since. Without that this does nothing.
            found.back.connect(self._target.sockaddr)
            self._pairs.move_to_end(reply)
            return found.path
        if len(self._pairs) >= MOST:
            next(iter(self._pairs.values())).relay.close()
        path = self._meeting.path()
        front, back = _pair(self._target, path, reply)
        record = self._recorder.begin(str(caller), stream=False)

        def closed() -> None:
            del self._pairs[reply]
            os.unlink(path)  # noqa: PTH108 - a string
            record.closed()
            self._closed()

        relay = Relay((front, back), record, self._directions, lambda: None, closed)
        self._pairs[reply] = _Pair(path, back, relay)
        return path


def server_end(target: Address, *, replies: bool) -> socket.socket:
    """Return a socket that is connected to the server; only one with a name gets replies.

    Raises:
        OSError: as connect(2) to the server says it.
    """
    back = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if replies:
            back.bind(b"")  # the kernel chooses an abstract name (autobind, unix(7))
        back.connect(target.sockaddr)
    except OSError:
        back.close()
        raise
    return back


def _pair(target: Address, path: str, reply: bytes) -> tuple[socket.socket, socket.socket]:
    """Return a socket that talks with the client, and one that talks with the server.

    Both are connected, so that a full queue at either side is waited for without polling.
    """
    with ExitStack() as undo:
        back = server_end(target, replies=bool(reply))
        undo.callback(back.close)
        front = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        undo.callback(front.close)
        front.bind(path)
        if reply:
            front.connect(reply)
        undo.pop_all()
        return front, back
