"""Addresses of local sockets: parsing what a user writes, and the form that the kernel takes.

An address is bytes, not text. A path begins with "/", an abstract name with a NUL byte, which
users and all tools write as "@" (unix(7)). Any process may bind a name with newlines and escape
sequences, so an address is shown on a terminal only through `escape`.
"""

import os
from dataclasses import dataclass
from typing import Self

from localechod.errors import UsageError
from localechod.text import escape

# sizeof(sockaddr_un.sun_path). A path must fit with its terminating NUL; an abstract name has a
# leading NUL instead.
_SUN_PATH = 108
_LONGEST_PATH = _SUN_PATH - 1


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a local socket, as in ``sun_path``: a path without its NUL, or abstract.

    The constructor takes any bytes, for addresses that the kernel reports. `parse` takes what a
    user writes.
    """

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "/absolute/path" or "@name", the forms of a configuration.

        Relative paths are refused although the kernel accepts them: what they name depends on the
        working directory. `localsocket.notation` reads what people type and paste.

        Raises:
            UsageError: relative, not encodable, or as for `checked`.
        """
        if "\0" in text:
            raise UsageError(f"address {escape(text)}: a name cannot contain a NUL byte")
        if text and not text.startswith(("/", "@")):
            raise UsageError(
                f"address {escape(text)}: the path is relative",
                "give an absolute path, or @name for an abstract socket",
            )
        raw = _encode(text)
        return cls.checked(b"\0" + raw[1:] if text.startswith("@") else raw)

    @classmethod
    def checked(cls, raw: bytes) -> Self:
        """Return the address, if it is one that a socket can have.

        Raises:
            UsageError: empty, the path of a directory, too long, or a path with a NUL byte.
        """
        if not raw:
            raise UsageError("the address is empty", "give an absolute path or @name")
        (_check_abstract if raw.startswith(b"\0") else _check_path)(raw)
        return cls(raw)

    @property
    def is_abstract(self) -> bool:
        """True for an abstract name, which belongs to a network namespace and has no file."""
        return self.raw.startswith(b"\0")

    @property
    def path(self) -> str:
        """The path for file system calls; "" for an abstract name."""
        return "" if self.is_abstract else os.fsdecode(self.raw)

    @property
    def sockaddr(self) -> bytes:
        """The address as ``socket.bind`` and ``socket.connect`` take it."""
        return self.raw

    def __str__(self) -> str:
        return escape(self.raw)


def _encode(text: str) -> bytes:
    try:
        return os.fsencode(text)
    except UnicodeEncodeError as error:
        raise UsageError(f"address {escape(text)}: not a name in this locale's encoding") from error


def _check_abstract(raw: bytes) -> None:
    if len(raw) == 1:
        raise UsageError("address @: the abstract name is empty", "write @ and then a name")
    if len(raw) > _SUN_PATH:
        raise UsageError(
            f"address {escape(raw)}: {len(raw)} bytes with the leading NUL; "
            f"the limit for a socket's name is {_SUN_PATH}",
            "choose a shorter name",
        )


def _check_path(raw: bytes) -> None:
    if b"\0" in raw:
        raise UsageError(f"address {escape(raw)}: a path cannot contain a NUL byte")
    if raw.rpartition(b"/")[2] in {b"", b".", b".."}:
        raise UsageError(
            f"address {escape(raw)}: the path names a directory", "add the name of the socket"
        )
    if len(raw) > _LONGEST_PATH:
        raise UsageError(
            f"address {escape(raw)}: {len(raw)} bytes; "
            f"the limit for a socket's path is {_LONGEST_PATH}",
            "choose a shorter directory",
        )
