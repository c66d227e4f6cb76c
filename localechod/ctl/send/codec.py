"""Encoding of a message for `send`, and the end of its reply: bytes in, bytes out, no I/O.

An exchange is a message and its replies, one after the other on one connection. There is a class
for each way in which a peer may mark the end of a message.
"""

import errno
from typing import Protocol

from localechod.errors import SocketError, UsageError
from localechod.framing.messages import encode, take

RECORD = 4096
"""Bytes of a record of the tutorial's programs (MAXLINE)."""


class Exchange(Protocol):
    """The interface of every framing to a conversation.

    Attributes:
        pause_ends: whether a pause may end a reply.
    """

    pause_ends: bool

    def ask(self, message: bytes) -> tuple[bytes, int]:
        """Begin the next exchange; return the bytes to write and the number of replies.

        Raises:
            UsageError: the framing cannot carry this message.
            SocketError: EMSGSIZE, the message is too long.
        """
        ...

    def feed(self, data: bytes) -> None:
        """Add the bytes that one read returned."""
        ...

    def answer(self, *, over: bool) -> bytes | None:
        """Return the next reply, None while it is incomplete.

        Args:
            over: there was a pause, or the end of the stream.
        """
        ...


class Framed:
    """A stream whose framing is known: lines or records."""

    pause_ends = False

    def __init__(self, framing: str, record_size: int, path: str) -> None:
        self.framing = framing
        self.record_size = record_size
        self.path = path
        self._buffer = bytearray()

    def ask(self, message: bytes) -> tuple[bytes, int]:
        """See Exchange; a message with newlines in it is several lines, and has several replies."""
        if self.framing == "record":
            self._check_record(message)
            return encode(message, "record", self.record_size), 1
        return encode(message, self.framing, self.record_size), message.count(b"\n") + 1

    def feed(self, data: bytes) -> None:
        """See Exchange."""
        self._buffer += data

    def answer(self, *, over: bool) -> bytes | None:
        """See Exchange; at the end, a last line without its newline is a reply."""
        whole = take(self._buffer, self.framing, self.record_size)
        if whole is None and over and self._buffer and self.framing == "line":
            return _all(self._buffer)
        return whole

    def _check_record(self, message: bytes) -> None:
        if len(message) >= self.record_size:
            hint = f"a record of {self.record_size} bytes carries {self.record_size - 1}"
            raise SocketError("send", errno.EMSGSIZE, self.path, hint)
        if b"\0" in message:
            raise UsageError(
                f"send failed: the message contains a NUL, which ends a record: {self.path}",
                "use another framing",
            )


class Chunk:
    """A stream without message boundaries: the peer replies to whatever one read returned.

    An echo is not shorter than the message. A reply is complete when as many bytes have come, or
    after a pause.
    """

    pause_ends = True

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._asked = 0

    def ask(self, message: bytes) -> tuple[bytes, int]:
        """See Exchange."""
        if not message:
            raise UsageError(
                "send failed: without framing, a stream cannot carry an empty message",
                "use --framing line",
            )
        self._buffer.clear()
        self._asked = len(message)
        return encode(message, "chunk", 0), 1

    def feed(self, data: bytes) -> None:
        """See Exchange."""
        self._buffer += data

    def answer(self, *, over: bool) -> bytes | None:
        """See Exchange."""
        if len(self._buffer) >= self._asked or (over and self._buffer):
            return _all(self._buffer)
        return None


class Whole:
    """Datagram and seqpacket: the kernel keeps the boundaries; an empty message is a message."""

    pause_ends = False

    def __init__(self) -> None:
        self._messages: list[bytes] = []

    def ask(self, message: bytes) -> tuple[bytes, int]:
        """See Exchange."""
        return message, 1

    def feed(self, data: bytes) -> None:
        """See Exchange."""
        self._messages.append(data)

    def answer(self, *, over: bool) -> bytes | None:  # noqa: ARG002 - each message is complete
        """See Exchange."""
        return self._messages.pop(0) if self._messages else None


class Foreign:
    """A stream server of unknown framing.

    It is sent a line. Its reply ends at a newline, at a NUL, or at a pause. A server of the
    tutorial's kind pads its reply to 4096 bytes; after the NUL come bytes of its stack, with
    newlines among them. Those bytes are counted and dropped, also where they come later than the
    reply. The byte after the newline tells such a peer: a NUL never begins the next line. A peer
    that only ends its replies with a NUL never fills the record.
    """

    pause_ends = True

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._record = RECORD
        self._padding = 0
        self._after_newline = False

    def ask(self, message: bytes) -> tuple[bytes, int]:
        """See Exchange; unread bytes are no reply to this message and are dropped."""
        self._skip_padding()
        self._padding = max(0, self._padding - len(self._buffer))
        self._buffer.clear()
        return message + b"\n", 1

    def feed(self, data: bytes) -> None:
        """See Exchange."""
        self._buffer += data

    def answer(self, *, over: bool) -> bytes | None:
        """See Exchange."""
        self._skip_padding()
        if over and self._padding:
            # The rest of a record would have come without a pause: this peer does not pad.
            self._padding = self._record = 0
        if self._padding:
            return None
        ends = [at for at in (self._buffer.find(b"\n"), self._buffer.find(b"\0")) if at >= 0]
        if not ends:
            return _all(self._buffer) if over and self._buffer else None
        end = min(ends)
        reply = bytes(self._buffer[:end])
        self._after_newline = self._buffer[end] == ord("\n")
        self._padding = max(0, self._record - end - 1)
        del self._buffer[: end + 1]
        return reply

    def _skip_padding(self) -> None:
        if self._after_newline and self._buffer:
            self._after_newline = False
            if self._buffer[0]:
                self._padding = 0
        if self._padding and len(self._buffer) >= self._padding:
            del self._buffer[: self._padding]
            self._padding = 0


def choose(kind: str, framing: str, record_size: int, path: str) -> Exchange:
    """Return the exchange for a socket's type and a framing.

    Args:
        kind: "stream", "datagram" or "seqpacket".
        framing: "line", "record", "chunk", or "auto" where it is not known.
        record_size: bytes of a record.
        path: the peer's address, escaped, for errors.
    """
    if kind != "stream":
        return Whole()
    if framing == "auto":
        return Foreign()
    return Chunk() if framing == "chunk" else Framed(framing, record_size, path)


def _all(buffer: bytearray) -> bytes:
    """Empty a buffer and return what was in it."""
    taken = bytes(buffer)
    buffer.clear()
    return taken
