"""The bytes of a request and of its reply, as the first reply shows them; no I/O.

All requests of a measurement are the same, so all replies of an echo are the same and have one
length. That is enough to find and check replies in a stream with any framing: a line, a record of
the tutorial's programs (text, NUL, and whatever was on the stack), or bare bytes.
"""

from dataclasses import dataclass

from localechod.errors import LocalechodError
from localechod.framing.messages import encode
from localechod.text import escape

_SHOWN = 40  # bytes of a message in an error
_LETTERS = b"abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its reply.

    Attributes:
        request: the bytes that are written for a message.
        size: bytes of the reply.
        text: how the reply begins; the rest, up to `size`, is padding that may be anything.
        boundaries: whether the kernel preserves message boundaries (datagram, seqpacket).
    """

    request: bytes
    size: int
    text: bytes
    boundaries: bool

    def matches(self, message: bytes) -> bool:
        """Return whether a message is the expected reply."""
        return len(message) == self.size and message.startswith(self.text)

    def wrong_reply(self, reply: bytes, path: str) -> LocalechodError:
        """Return the error for a reply that differs from the expected one."""
        found = f"{_shown(reply[: self.size])} ({len(reply)} bytes)"
        return LocalechodError(
            f"bench failed: wrong reply: {path}",
            f"it sent {found} instead of {_shown(self.text)} ({self.size} bytes)",
        )


def message(size: int) -> bytes:
    """Return a message of `size` bytes: only letters, which every framing can carry."""
    return (_LETTERS * (size // len(_LETTERS) + 1))[:size]


def request(text: bytes, framing: str, record_size: int, *, boundaries: bool) -> bytes:
    """Return the bytes to write for a message; where the framing is unknown, a line."""
    if boundaries:
        return text
    return encode(text, "line" if framing == "auto" else framing, record_size)


def learn(written: bytes, text: bytes, reply: bytes, path: str, *, boundaries: bool) -> Exchange:
    """Return the exchange that a first reply shows; the message must be in that reply.

    A greeting may precede the message. A newline, and NULs with anything behind them, may follow.

    Raises:
        LocalechodError: the server is not an echo server.
    """
    end = reply.find(text) + len(text)
    if end >= len(text):
        rest = reply[end:]
        line = rest.removeprefix(b"\r").removeprefix(b"\n")
        if not line:
            return Exchange(written, len(reply), reply, boundaries)
        if line.startswith(b"\0"):
            return Exchange(written, len(reply), reply[:end], boundaries)
    raise LocalechodError(
        f"bench failed: not an echo server: {path}",
        f"it replied {_shown(reply)} to {_shown(text)}; --framing and --type may help",
    )


def _shown(data: bytes) -> str:
    return escape(data[:_SHOWN]) + (" ..." if len(data) > _SHOWN else "") if data else "nothing"
