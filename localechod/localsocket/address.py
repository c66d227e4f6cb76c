"""Names of local sockets: what a user may write, what the kernel takes, what a terminal may show.

A name is bytes, not text. A path begins with "/", an abstract name with a NUL byte, written "@"
by people and by every tool (unix(7)). Anybody may bind a name full of newlines and escape
sequences, so nothing from this module's outside reaches a terminal except through `escape`.
"""

import os
from dataclasses import dataclass
from typing import Self

from localechod.errors import UsageError
from localechod.text import escape

# sizeof(sockaddr_un.sun_path). A path also needs its closing NUL in there; an abstract name has
# no closing NUL, but spends one byte on its leading one.
_SUN_PATH = 108
_LONGEST_PATH = _SUN_PATH - 1


@dataclass(frozen=True, slots=True)
class Address:
    """The name of a local socket, as in ``sun_path``: a path without its closing NUL, or abstract.

    The constructor takes any bytes, for the names that the kernel reports. What a user writes
    goes through `parse`.
    """

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "/absolute/path" or "@name".

        Relative paths are refused although the kernel takes them: they name another socket as
        soon as somebody changes directory.

        Raises:
            UsageError: empty, relative, the name of a directory, too long, or with a NUL inside.
        """
        if not text:
            raise UsageError("the address is empty", "give an absolute path or @name")
        if "\0" in text:
            raise UsageError(f"address {escape(text)}: a name cannot contain a NUL byte")
        if text.startswith("@"):
            return cls(_abstract(text))
        if not text.startswith("/"):
            raise UsageError(
                f"address {escape(text)}: the path is relative",
                "give an absolute path, or @name for an abstract socket",
            )
        return cls(_path(text))

    @property
    def is_abstract(self) -> bool:
        """True for a name that lives in the network namespace and in no directory."""
        return self.raw.startswith(b"\0")

    @property
    def path(self) -> str:
        """The path for calls on files; "" for an abstract name."""
        return "" if self.is_abstract else os.fsdecode(self.raw)

    @property
    def sockaddr(self) -> bytes:
        """What ``socket.bind`` and ``socket.connect`` take."""
        return self.raw

    def __str__(self) -> str:
        return escape(self.raw)


def _encode(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError as error:
        raise UsageError(f"address {escape(text)}: not a name in this locale's encoding") from error


def _abstract(text: str) -> bytes:
    raw = b"\0" + _encode(text[1:])
    if len(raw) == 1:
        raise UsageError("address @: the abstract name is empty", "write @ and then a name")
    if len(raw) > _SUN_PATH:
        raise UsageError(
            f"address {escape(text)}: {len(raw)} bytes with the leading NUL; "
            f"the limit for a socket's name is {_SUN_PATH}",
            "choose a shorter name",
        )
    return raw


def _path(text: str) -> bytes:
    raw = _encode(text)
    if raw.rpartition(b"/")[2] in {b"", b".", b".."}:
        raise UsageError(
            f"address {escape(text)}: the path names a directory", "add the name of the socket"
        )
    if len(raw) > _LONGEST_PATH:
        raise UsageError(
            f"address {escape(text)}: {len(raw)} bytes; "
            f"the limit for a socket's path is {_LONGEST_PATH}",
            "choose a shorter directory",
        )
    return raw
