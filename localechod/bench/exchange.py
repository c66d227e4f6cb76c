"""What goes out for one message, and how its reply looks: learnt from the first reply, no I/O.

All messages of a measurement are the same, so all replies of an echo are the same too, and have the
same length. That is enough to find and check them in a stream of any framing: a line, a record of
the article's programs (text, NUL, and whatever lay on the stack), or nothing but the bytes.
"""

from dataclasses import dataclass

from localechod.errors import LocalechodError
from localechod.framing import encode
from localechod.text import escape

_SHOWN = 40
_LETTERS = b"abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange in bytes.

    Attributes:
        request: what is written for a message.
        size: bytes of its reply.
        text: how the reply begins; what follows up to `size` is padding that may be anything.
        boundaries: whether the kernel keeps messages apart (datagram, seqpacket).
    """

    request: bytes
    size: int
    text: bytes
    boundaries: bool

    def wrong(self, reply: bytes, path: str) -> LocalechodError:
        """Return the error for a reply that is not this one."""
        found = f"{_shown(reply[: self.size])} ({len(reply)} bytes)"
        return LocalechodError(
            f"bench failed: wrong reply: {path}",
            f"it sent {found} where {_shown(self.text)} ({self.size} bytes) was due",
        )


def message(size: int) -> bytes:
    """Return a message of so many bytes: letters, as any framing can carry them."""
    return (_LETTERS * (size // len(_LETTERS) + 1))[:size]


def request(text: bytes, framing: str, record_size: int, *, boundaries: bool) -> bytes:
    """Return a message as it is written; to a peer whose framing nobody knows, as a line."""
    if boundaries:
        return text
    return encode(text, "line" if framing == "auto" else framing, record_size)


def learn(written: bytes, text: bytes, reply: bytes, path: str, *, boundaries: bool) -> Exchange:
    """Return an exchange as its first reply shows it, in which the message has to come back.

    A greeting may stand before it, and a newline, NULs and garbage behind it.

    Raises:
        LocalechodError: this is no echo.
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
        f"bench failed: that is no echo: {path}",
        f"it was sent {_shown(text)} and answered {_shown(reply)}; --framing and --type may help",
    )


def _shown(data: bytes) -> str:
    return escape(data[:_SHOWN]) + (" ..." if len(data) > _SHOWN else "") if data else "nothing"
