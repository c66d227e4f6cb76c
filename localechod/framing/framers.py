"""What a server answers to the bytes of a stream, by framing.

A framer is fed the bytes of each read and returns the bytes to write. How the bytes were cut into
reads does not matter, except for `chunk`, where one read is one message by definition.
"""

from localechod.framing.interface import MessageTooLongError, Observer, Pending, Replies
from localechod.framing.messages import encode
from localechod.framing.pieces import Pieces


class LineFramer:
    """Every line is a message; the reply has its newline too.

    All complete lines of a read are answered by one `bytes.replace`. A Python loop over the lines
    would cost more than the system calls around it.
    """

    __slots__ = ("_long", "_short", "dropped", "max_message", "messages", "observe", "prefix")

    def __init__(self, prefix: bytes, max_message: int, observe: Observer | None = None) -> None:
        self.prefix = prefix
        self.max_message = max_message
        self.observe = observe
        self.messages = 0
        self.dropped = 0
        # An incomplete line: the bytes of one read, or of more.
        self._short = b""
        self._long: Pieces | None = None

    @property
    def pending(self) -> Pending:
        """See Framer."""
        return self._short if self._long is None else self._long

    @pending.setter
    def pending(self, data: Pending) -> None:
        self._short, self._long = bytes(data), None

    def feed(self, data: bytes) -> Replies:
        """See Framer; a line longer than max_message (its newline not counted) is too long."""
        if self._long is not None:
            return self._feed_long(self._long, data)
        cut = data.rfind(b"\n") + 1
        if not cut:
            if self._short:
                self._long = Pieces(self._short + data)
                self._short = b""
            else:
                self._short = data
            self._limit_pending(b"")
            return b""
        lines = self._short + data[:cut] if self._short else data[:cut]
        self._short = data[cut:]
        # No line is too long if all of them together are not longer than the limit.
        if len(lines) - 1 > self.max_message:
            lines, whole = self._within_limit(lines)
            if not whole:
                self._refuse(self._answer(lines))
        replies = self._answer(lines)
        self._limit_pending(replies)
        return replies

    def _feed_long(self, line: Pieces, data: bytes) -> Replies:
        cut = data.find(b"\n") + 1
        line.append(data[:cut] if cut else data)
        if len(line) - bool(cut) > self.max_message:
            self._refuse(b"")
        if not cut:
            return b""
        replies = self._finish_long(line, b"\n")
        if cut < len(data):
            try:
                replies.append(bytes(self.feed(data[cut:])))
            except MessageTooLongError as error:
                replies.append(bytes(error.replies))
                raise MessageTooLongError(replies) from None
        return replies

    def _finish_long(self, line: Pieces, newline: bytes) -> Pieces:
        self._long = None
        self.messages += 1
        if self.observe is not None:
            self.observe([line.first().removesuffix(newline)])
        line.prepend(self.prefix)
        return line

    def finish(self) -> Replies:
        """See Framer; the last line has no newline, and neither has its reply."""
        if self._long is not None:
            return self._finish_long(self._long, b"")
        rest, self._short = self._short, b""
        if not rest:
            return b""
        self.messages += 1
        if self.observe is not None:
            self.observe([rest])
        return self.prefix + rest

    def _answer(self, lines: bytes) -> bytes:
        if not lines:
            return b""
        count = lines.count(b"\n")
        self.messages += count
        if self.observe is not None:
            self.observe(lines[:-1].split(b"\n"))
        if not self.prefix:
            return lines
        if count == 1:
            return self.prefix + lines
        return self.prefix + lines[:-1].replace(b"\n", b"\n" + self.prefix) + b"\n"

    def _within_limit(self, lines: bytes) -> tuple[bytes, bool]:
        """Return the lines before the first one too long, and whether these are all lines."""
        start = 0
        while start < len(lines):
            end = lines.index(b"\n", start)
            if end - start > self.max_message:
                return lines[:start], False
            start = end + 1
        return lines, True

    def _limit_pending(self, replies: bytes) -> None:
        if len(self.pending) > self.max_message:
            self._refuse(replies)

    def _refuse(self, replies: bytes) -> None:
        self.dropped += 1
        self.pending = b""
        raise MessageTooLongError(replies)


class RecordFramer:
    """Every `size` bytes are one C string padded with NULs, and so is the reply.

    A reply that does not fit is cut to size - 1 bytes, so that it still ends in a NUL. An
    incomplete record at end of file gets no reply.
    """

    __slots__ = ("dropped", "max_message", "messages", "observe", "pending", "prefix", "size")

    def __init__(
        self, prefix: bytes, max_message: int, size: int, observe: Observer | None = None
    ) -> None:
        self.prefix = prefix
        self.max_message = max_message
        self.size = size
        self.observe = observe
        self.messages = 0
        self.dropped = 0
        self.pending: Pending = b""

    def feed(self, data: bytes) -> bytes:
        """See Framer; a string longer than max_message is dropped, and the stream continues."""
        if len(self.pending) + len(data) < self.size:
            self.pending = _grown(self.pending, data)
            return b""
        data = bytes(self.pending) + data if self.pending else data
        whole = len(data) - len(data) % self.size
        self.pending = data[whole:]
        return b"".join(
            self._answer(data[at : at + self.size]) for at in range(0, whole, self.size)
        )

    def finish(self) -> bytes:
        """See Framer; an incomplete record is counted as dropped."""
        if self.pending:
            self.dropped += 1
            self.pending = b""
        return b""

    def _answer(self, record: bytes) -> bytes:
        message = record.partition(b"\0")[0]
        if len(message) > self.max_message:
            self.dropped += 1
            return b""
        self.messages += 1
        if self.observe is not None:
            self.observe([message])
        return encode(self.prefix + message, "record", self.size)


class ChunkFramer:
    """The bytes of one read are one message; without a prefix, the exact echo of RFC 862."""

    __slots__ = ("dropped", "messages", "observe", "pending", "prefix")

    def __init__(self, prefix: bytes, observe: Observer | None = None) -> None:
        self.prefix = prefix
        self.observe = observe
        self.messages = 0
        self.dropped = 0
        self.pending: Pending = b""

    def feed(self, data: bytes) -> bytes:
        """See Framer; never raises. Bytes are pending only after another framing."""
        if self.pending:
            data, self.pending = bytes(self.pending) + data, b""
        self.messages += 1
        if self.observe is not None:
            self.observe([data])
        return self.prefix + data if self.prefix else data

    def finish(self) -> bytes:
        """See Framer; a chunk is always complete."""
        return b""


def _grown(pending: Pending, data: bytes) -> Pending:
    """Return the pending bytes with more at their end; a bytearray is changed in place."""
    if not pending:
        return data
    if not isinstance(pending, bytearray):
        pending = bytearray(bytes(pending))
    pending += data
    return pending
