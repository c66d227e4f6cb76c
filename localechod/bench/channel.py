"""One connection under load: two descriptors, what is under way on them, and who is at the end."""

import errno
import os
import select
from collections import deque

from localechod.bench.exchange import Exchange
from localechod.errors import LocalechodError, SocketError

_READ = 1 << 16  # larger reads pay for memory that the C library maps and unmaps each time
_LONGEST = 1 << 21  # bytes of a message; more than any socket's buffer takes by default
_QUIET = 0.2  # seconds without a byte after which the first reply is taken for whole


class Channel:
    """A connection on which requests are written and replies read, without ever blocking.

    Descriptors and not sockets: read(2) and write(2) do for streams, messages and pipes alike.

    Args:
        read: the descriptor replies come from.
        write: the descriptor requests go to; the same one for a socket.
        path: the peer's address, escaped, for errors.
        boundaries: whether the kernel keeps messages apart.
    """

    def __init__(self, read: int, write: int, path: str, *, boundaries: bool) -> None:
        for descriptor in (read, write):
            os.set_blocking(descriptor, False)
        self.read = read
        self.write = write
        self.path = path
        self.boundaries = boundaries
        self.begun: deque[int] = deque()  # when each request was due that has no reply yet
        self.answered = 0
        self._waiting = 0  # requests that did not fit yet
        self._rest = b""  # of one that fitted in part
        self._received = b""  # of a reply that is not whole

    def send(self, request: bytes, now: int) -> bool:
        """Write a request that is due now (ns); return whether all that is due is written.

        Raises:
            SocketError: what the kernel reports.
        """
        self.begun.append(now)
        self._waiting += 1
        return self.flush(request)

    def flush(self, request: bytes) -> bool:
        """Write what did not fit before; return whether nothing is left."""
        while self._rest or self._waiting:
            data = self._rest or request
            try:
                count = os.write(self.write, data)
            except BlockingIOError:
                return False
            except OSError as error:
                raise self._failed("send", error) from error
            if not self._rest:
                self._waiting -= 1
            self._rest = data[count:]
        return True

    def receive(self, exchange: Exchange) -> int:
        """Read once, check what came, and return how many replies it completed.

        Raises:
            SocketError: what the kernel reports.
            LocalechodError: a wrong reply, more replies than requests, or the peer has closed.
        """
        try:
            # One byte more than is due shows a message that is too long.
            data = os.read(self.read, exchange.size + 1 if exchange.boundaries else _READ)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._failed("read", error) from error
        if not data:
            # The end, or an empty message, which no message here is answered with.
            raise self._closed()
        if not exchange.boundaries:
            count = self._whole(self._received + data if self._received else data, exchange)
        elif len(data) == exchange.size and data.startswith(exchange.text):
            count = 1
        else:
            raise exchange.wrong(data, self.path)
        self.answered += count
        if count > len(self.begun) or (self._received and count == len(self.begun)):
            raise LocalechodError(
                f"bench failed: more came than was asked for: {self.path}",
                "its replies are not all of one length; --framing may help",
            )
        return count

    def first_reply(self, request: bytes, timeout: float) -> bytes:
        """Send a request and return what comes back, up to a pause, for `exchange.learn`.

        Raises:
            SocketError: ETIMEDOUT (`timeout` is in seconds), and what the kernel reports.
            LocalechodError: the peer closed without an answer.
        """
        reply = b""
        written = self.send(request, 0)
        while self._ready(_QUIET if reply and written else timeout, to_write=not written):
            # Reading goes on while writing does: the peer may answer before it has heard all.
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
        if not reply:
            raise self.late(timeout)
        self.begun.clear()
        return reply

    def late(self, timeout: float) -> SocketError:
        """Return the error for a reply that did not come within `timeout` seconds."""
        hint = f"no reply within {timeout:g} s, {self._progress()}"
        return SocketError("receive", errno.ETIMEDOUT, self.path, hint)

    def _ready(self, timeout: float, *, to_write: bool) -> bool:
        poll = select.poll()
        poll.register(self.read, select.POLLIN)
        if to_write:
            both = select.POLLIN | select.POLLOUT
            poll.register(self.write, both if self.write == self.read else select.POLLOUT)
        return bool(poll.poll(timeout * 1000))

    def _whole(self, data: bytes, exchange: Exchange) -> int:
        """Check the whole replies in a stream's bytes, keep the rest, and return how many."""
        count = len(data) // exchange.size
        for number in range(count):
            start = number * exchange.size
            if not data.startswith(exchange.text, start):
                raise exchange.wrong(data[start : start + exchange.size], self.path)
        self._received = data[count * exchange.size :]
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
