"""The interface of every framing of a server: bytes of a read in, bytes to write out."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from localechod.framing.pieces import Pieces

Observer = Callable[[Sequence[bytes]], None]

# A bytearray if a message has come in more than one read: it grows in place. Adding to bytes
# copies all of them for each read, and a client may send 16 MiB byte by byte.
Pending: TypeAlias = bytes | bytearray | Pieces

# What a server answers; pieces if it begins with a long line.
Replies: TypeAlias = bytes | Pieces


class MessageTooLongError(ValueError):
    """A line grew past its limit.

    Attributes:
        replies: to the messages before it, still to be sent.
    """

    def __init__(self, replies: Replies) -> None:
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

    def feed(self, data: bytes) -> Replies:
        """Take the bytes of a read; return the replies to all messages that are complete now.

        Raises:
            MessageTooLongError: the connection has to end after its `replies` are sent.
        """
        ...

    def finish(self) -> Replies:
        """Return the reply to the incomplete message at end of file, or nothing."""
        ...
