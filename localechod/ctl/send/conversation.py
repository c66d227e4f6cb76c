"""The I/O of `send`: write messages to a peer and wait for its replies.

Writing and reading alternate. Otherwise, with a peer that replies before the message is complete,
both sides could wait for each other.
"""

import errno
import math
import select
import socket
import time
from collections import deque
from collections.abc import Iterator

from localechod.ctl.send.codec import Exchange
from localechod.errors import LocalechodError, SocketError
from localechod.text import escape

PAUSE = 0.2
"""Seconds without a byte after which a reply without an end mark is complete."""

LIMIT = 64 << 20
"""Bytes of one reply at most: an endless one must not fill the memory."""

_CHUNK = 1 << 16
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class Conversation:
    """One connected socket, on which messages are sent and replies received in order."""

    def __init__(self, sock: socket.socket, exchange: Exchange, path: str, timeout: float) -> None:
        """Use a connected socket; the caller still closes it.

        Args:
            sock: of any type; it is made non-blocking.
            exchange: the framing of messages and replies.
            path: its address, escaped, for errors.
            timeout: seconds to wait for each reply, sending the message included.
        """
        sock.setblocking(False)
        self.sock = sock
        self.exchange = exchange
        self.path = path
        self.timeout = timeout
        self.pause = min(PAUSE, timeout / 2)
        self._unsent: deque[memoryview] = deque()
        self._poll = select.poll()

    def ask(self, message: bytes) -> Iterator[bytes]:
        """Send a message and yield its replies as they come.

        Raises:
            UsageError: the framing cannot carry this message.
            SocketError: ETIMEDOUT, a reply did not come in time; or an error of the kernel.
            LocalechodError: the peer closed before it replied.
        """
        data, replies = self.exchange.ask(message)
        self._unsent.append(memoryview(data))
        for _ in range(replies):
            yield self._reply()

    def _reply(self) -> bytes:
        deadline = time.monotonic() + self.timeout
        received = 0
        while (reply := self.exchange.answer(over=False)) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._late()
            pausing = self.exchange.pause_ends and received > 0 and not self._unsent
            events = self._wait(min(left, self.pause) if pausing else left)
            if events & select.POLLOUT:
                self._write()
            if events & _READABLE:
                count = self._read()
                if count is None:
                    return self._last()
                received += count
                self._check_size(received)
            elif not events and pausing and left >= self.pause:
                received = 0
                reply = self.exchange.answer(over=True)
                if reply is not None:
                    return reply
        return reply

    def _wait(self, seconds: float) -> int:
        """Return the poll events of the socket, or 0 after so many seconds."""
        self._poll.register(self.sock, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        found = self._poll.poll(math.ceil(seconds * 1000))
        return found[0][1] if found else 0

    def _write(self) -> None:
        data = self._unsent[0]
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.EPIPE and self._has_input():
                # It replied, then closed: the reply is shown instead of an error.
                self._unsent.clear()
                return
            raise self._failed("send", error, _send_hint(error.errno, len(data))) from error
        if self.sock.type == socket.SOCK_STREAM and sent < len(data):
            self._unsent[0] = data[sent:]
        else:
            self._unsent.popleft()

    def _has_input(self) -> bool:
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def _read(self) -> int | None:
        """Pass on the bytes of one read; return their number, or None at end of file."""
        try:
            data = self._receive()
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._failed("read", error, "the peer closed without a reply") from error
        if not data and self._ended():
            return None
        self.exchange.feed(data)
        return len(data)

    def _receive(self) -> bytes:
        if self.sock.type == socket.SOCK_STREAM:
            return self.sock.recv(_CHUNK)
        # The length first: a message longer than the buffer is truncated silently.
        size = self.sock.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
        return self.sock.recv(max(1, size))

    def _ended(self) -> bool:
        """Return whether an empty read is the end of file, and not an empty message."""
        if self.sock.type == socket.SOCK_SEQPACKET:
            poll = select.poll()
            poll.register(self.sock, select.POLLRDHUP)
            return bool(poll.poll(0))
        return self.sock.type == socket.SOCK_STREAM

    def _last(self) -> bytes:
        reply = self.exchange.answer(over=True)
        if reply is None:
            raise LocalechodError(
                f"read failed: server terminated prematurely: {self.path}",
                "it closed the connection without a reply: it may have refused this user or "
                "this message; see its log",
            )
        return reply

    def _check_size(self, received: int) -> None:
        if received > LIMIT:
            hint = f"the reply is longer than {LIMIT} bytes"
            raise SocketError("receive", errno.EMSGSIZE, self.path, hint)

    def _late(self) -> SocketError:
        if self._unsent:
            hint = f"the peer does not read: the message was not sent within {self.timeout:g} s"
            return SocketError("send", errno.ETIMEDOUT, self.path, hint)
        hint = f"no reply within {self.timeout:g} s; --timeout waits longer"
        if self.sock.type == socket.SOCK_STREAM:
            hint += ", --framing says where a message ends"
        name = self.sock.getsockname()
        if self.sock.type == socket.SOCK_DGRAM and isinstance(name, str) and name:
            # A server that does not find this path drops its reply, and no error comes here.
            where = "outside of this container or in one"
            hint += f"; a server with another /tmp, {where}, cannot reply to {escape(name)}"
        return SocketError("receive", errno.ETIMEDOUT, self.path, hint)

    def _failed(self, action: str, error: OSError, hint: str) -> SocketError:
        return SocketError(action, error.errno or errno.EIO, self.path, hint)


def _send_hint(number: int | None, size: int) -> str:
    if number == errno.EMSGSIZE:
        return f"{size} bytes are more than the send buffer holds (sysctl net.core.wmem_default)"
    if number in {errno.EPIPE, errno.ECONNRESET, errno.ECONNREFUSED, errno.ENOTCONN}:
        return "the peer closed; see its log"
    return ""
