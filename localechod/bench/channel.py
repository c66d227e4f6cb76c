"""One connection under load: its descriptors, the requests in flight, and its errors."""

import errno
import os
import select
import time
from collections import deque

from localechod.bench.exchange import Exchange
from localechod.errors import LocalechodError, SocketError

# Bytes of one read from a stream. For larger ones the C library maps and unmaps memory each time.
_READ = 1 << 16
_LONGEST = 1 << 21  # bytes of a message; the default buffer of any socket is smaller
_QUIET = 0.2  # seconds without a byte after which the first reply counts as complete
_SURPLUS = 1 << 16  # bytes of a greeting and of padding, by which a reply may exceed its request


class Channel:
    """A connection on which requests are written and replies are read without blocking.

    It takes descriptors, not sockets: read(2) and write(2) do for streams, messages and pipes
    alike.

    Args:
        read: the descriptor that replies come from.
        write: the descriptor that requests go to; for a socket, the same one.
        path: the server's address, escaped, for errors.
        boundaries: whether the kernel preserves message boundaries.

    Attributes:
        due: when each unanswered request was due, in ns; the oldest comes first.
        answered: the number of replies so far.
    """

    def __init__(self, read: int, write: int, path: str, *, boundaries: bool) -> None:
        for descriptor in (read, write):
            os.set_blocking(descriptor, False)
        self.read = read
        self.write = write
        self.path = path
        self.boundaries = boundaries
        self.due: deque[int] = deque()
        self.answered = 0
        self._unsent = 0  # requests of which nothing has been written
        self._partial_request = b""  # what is left of one that was written in part
        self._partial_reply = b""

    def send(self, request: bytes, now: int) -> bool:
        """Write a request that is due now (ns); return False if anything is left to write.

        Raises:
            SocketError: write(2) failed.
        """
        self.due.append(now)
        self._unsent += 1
        return self.flush(request)

    def flush(self, request: bytes) -> bool:
        """Write what the buffer did not take before; return False if anything is left.

        Raises:
            SocketError: write(2) failed.
        """
        while self._partial_request or self._unsent:
            data = self._partial_request or request
            try:
                count = os.write(self.write, data)
            except BlockingIOError:
                return False
            except OSError as error:
                raise self._failed("send", error) from error
            if not self._partial_request:
                self._unsent -= 1
            self._partial_request = data[count:]
        return True

    def receive(self, exchange: Exchange) -> int:
        """Read once, check the data, and return the number of replies that it completed.

        Raises:
            SocketError: read(2) failed.
            LocalechodError: a reply is wrong or surplus, or the server closed the connection.
        """
        try:
            # The additional byte shows a message that is too long.
            data = os.read(self.read, exchange.size + 1 if exchange.boundaries else _READ)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._failed("read", error) from error
        if not data:
            # End of file, or an empty message. No request here has an empty reply.
            raise self._closed()
        if not exchange.boundaries:
            count = self._complete_replies(
                self._partial_reply + data if self._partial_reply else data, exchange
            )
        elif exchange.matches(data):
            count = 1
        else:
            raise exchange.wrong_reply(data, self.path)
        self.answered += count
        if count > len(self.due) or (self._partial_reply and count == len(self.due)):
            raise LocalechodError(
                f"bench failed: more replies than requests: {self.path}",
                "the replies differ in length; --framing may help",
            )
        return count

    def first_reply(self, request: bytes, timeout: float) -> bytes:
        """Send a request and return all that arrives before a pause, for `exchange.learn`.

        Raises:
            SocketError: no reply within `timeout` seconds (ETIMEDOUT), one that is too long
                (EMSGSIZE), or a system call failed.
            LocalechodError: the server closed the connection without a reply.
        """
        reply = bytearray()
        written = self.send(request, 0)
        deadline = time.monotonic() + timeout
        while self._wait(
            _QUIET if reply and written else max(0, deadline - time.monotonic()),
            to_write=not written,
        ):
            if time.monotonic() > deadline:
                raise self.timed_out(timeout)
            # Read before everything is written: a server may reply to the part that it has read.
            written = written or self.flush(request)
            try:
                data = os.read(self.read, _LONGEST if self.boundaries else _READ)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._failed("read", error) from error
            if not data:
                raise self._closed()
            reply += data
            if self.boundaries:
                break
            if len(reply) > len(request) + _SURPLUS:
                hint = f"not an echo server: it replied {len(reply)} bytes to {len(request)}"
                raise SocketError("receive", errno.EMSGSIZE, self.path, hint)
        if not reply:
            raise self.timed_out(timeout)
        self.due.clear()
        return bytes(reply)

    def timed_out(self, timeout: float) -> SocketError:
        """Return the error for a reply that was not complete within `timeout` seconds."""
        hint = f"no reply within {timeout:g} s, {self._progress()}"
        return SocketError("receive", errno.ETIMEDOUT, self.path, hint)

    def _wait(self, timeout: float, *, to_write: bool) -> bool:
        poll = select.poll()
        poll.register(self.read, select.POLLIN)
        if to_write:
            both = select.POLLIN | select.POLLOUT
            poll.register(self.write, both if self.write == self.read else select.POLLOUT)
        return bool(poll.poll(timeout * 1000))

    def _complete_replies(self, data: bytes, exchange: Exchange) -> int:
        """Check and count the complete replies in a stream's bytes; keep what follows them."""
        count = len(data) // exchange.size
        for start in range(0, count * exchange.size, exchange.size):
            if not data.startswith(exchange.text, start):
                raise exchange.wrong_reply(data[start : start + exchange.size], self.path)
        self._partial_reply = data[count * exchange.size :]
        return count

    def _closed(self) -> LocalechodError:
        return LocalechodError(
            f"read failed: server terminated prematurely: {self.path}",
            f"it closed the connection {self._progress()}",
        )

    def _failed(self, action: str, error: OSError) -> SocketError:
        return SocketError(action, error.errno or errno.EIO, self.path, self._progress())

    def _progress(self) -> str:
        return f"after {self.answered} replies on this connection"
