"""Framing: where messages begin and end in a stream's bytes, and what a server answers.

No I/O happens here, so server, client and tests share this code. A framer is fed the bytes of each
read and returns the bytes to write. How the bytes were cut into reads does not matter, except for
`chunk`, where one read is one message by definition.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

Observer = Callable[[bytes], None]

# A bytearray if a message has come in more than two reads: it grows in place. Adding to bytes
# copies all of them for each read, and a client may send 16 MiB byte by byte.
Pending: TypeAlias = bytes | bytearray


class MessageTooLongError(ValueError):
    """A line grew past its limit.

    Attributes:
        replies: to the messages before it, still to be sent.
    """

    def __init__(self, replies: bytes) -> None:
        super().__init__("message too long")
        self.replies = replies


class Framer(Protocol):
    """One framing, as a stream endpoint uses it.

    Attributes:
        messages: how many messages were answered.
        dropped: how many were not answered, because they were too long or incomplete.
        pending: the bytes of an incomplete message.
    """

    messages: int
    dropped: int
    pending: Pending

    def feed(self, data: bytes) -> bytes:
        """Take the bytes of a read; return the replies to all messages that are complete now.

        Raises:
            MessageTooLongError: the connection has to end after its `replies` are sent.
        """
        ...

    def finish(self) -> bytes:
        """Return the reply to the incomplete message at end of file, or nothing."""
        ...


class LineFramer:
    """Every line is a message; the reply has its newline too.

    All complete lines of a read are answered by one `bytes.replace`. A Python loop over the lines
    would cost more than the system calls around it.
    """

    __slots__ = ("dropped", "max_message", "messages", "observe", "pending", "prefix")

    def __init__(self, prefix: bytes, max_message: int, observe: Observer | None = None) -> None:
        self.prefix = prefix
        self.max_message = max_message
        self.observe = observe
        self.messages = 0
        self.dropped = 0
        self.pending: Pending = b""

    def feed(self, data: bytes) -> bytes:
        """See Framer; a line longer than max_message (its newline not counted) is too long."""
        cut = data.rfind(b"\n") + 1
        if not cut:
            self.pending = _grown(self.pending, data)
            if len(self.pending) > self.max_message:
                self._refuse(b"")
            return b""
        lines = b"".join((self.pending, data[:cut])) if self.pending else data[:cut]
        self.pending = data[cut:]
        # No line is too long if all of them together are not longer than the limit.
        if len(lines) - 1 > self.max_message:
            lines, whole = self._within_limit(lines)
            if not whole:
                self._refuse(self._answer(lines))
        replies = self._answer(lines)
        if len(self.pending) > self.max_message:
            self._refuse(replies)
        return replies

    def finish(self) -> bytes:
        """See Framer; the last line has no newline, and neither has its reply."""
        rest, self.pending = bytes(self.pending), b""
        if not rest:
            return b""
        self.messages += 1
        if self.observe is not None:
            self.observe(rest)
        return self.prefix + rest

    def _answer(self, lines: bytes) -> bytes:
        if not lines:
            return b""
        count = lines.count(b"\n")
        self.messages += count
        if self.observe is not None:
            for line in lines[:-1].split(b"\n"):
                self.observe(line)
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
        data = b"".join((self.pending, data)) if self.pending else data
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
            self.observe(message)
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
            data, self.pending = b"".join((self.pending, data)), b""
        self.messages += 1
        if self.observe is not None:
            self.observe(data)
        return self.prefix + data if self.prefix else data

    def finish(self) -> bytes:
        """See Framer; a chunk is always complete."""
        return b""


def _grown(pending: Pending, data: bytes) -> Pending:
    """Return the pending bytes with more at their end; a bytearray is changed in place."""
    if not pending:
        return data
    if isinstance(pending, bytes):
        pending = bytearray(pending)
    pending += data
    return pending


def encode(message: bytes, framing: str, record_size: int) -> bytes:
    """Return a message as it is sent on a stream.

    Args:
        message: its bytes, without a newline.
        framing: "line", "record" or "chunk".
        record_size: bytes of a record; a longer message is cut to one less, for the NUL.
    """
    if framing == "line":
        return message + b"\n"
    if framing == "record":
        return message[: record_size - 1].ljust(record_size, b"\0")
    return message


def take(buffer: bytearray, framing: str, record_size: int) -> bytes | None:
    """Take the next message from a client's buffer; None if it is not complete.

    Args:
        buffer: the bytes received; the message is removed from it.
        framing: "line" (returned without its newline), "record" (up to its first NUL) or "chunk".
        record_size: bytes of a record.
    """
    if framing == "line":
        end = buffer.find(b"\n")
        size, cut = end, end + 1
    elif framing == "record":
        size = cut = record_size if len(buffer) >= record_size else -1
    else:
        size = cut = len(buffer) or -1
    if size < 0:
        return None
    message = bytes(buffer[:size])
    del buffer[:cut]
    return message.partition(b"\0")[0] if framing == "record" else message
