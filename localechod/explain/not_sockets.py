"""Files where a socket is expected: a redirect of GnuPG's, a directory with sockets, an empty one.

- libassuan (assuan_sock_set_sockaddr_un) follows a regular file that begins with "%Assuan%" and has
  a line "socket=PATH". GnuPG uses it where the socket's path would be too long.
- Container engines create the source of a bind mount, as a directory, where it does not exist.
- PostgreSQL's clients take the directory of the sockets for a host name.
"""

import os
import stat
from dataclasses import dataclass
from itertools import islice

from localechod.explain import shell
from localechod.explain.remedy import Remedy, advice
from localechod.host.regular import read_regular
from localechod.text import escape

_REDIRECT = b"%Assuan%"
_LONGEST_REDIRECT = 4096  # bytes
_MOST_ENTRIES = 1000
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Content:
    """What a file that is no socket has in it.

    Attributes:
        redirect: the path that a redirect file names; b"" where it is none.
        sockets: the names of the sockets in a directory, sorted.
        is_empty: it is a directory without entries.
    """

    redirect: bytes = b""
    sockets: tuple[bytes, ...] = ()
    is_empty: bool = False


def read(path: bytes, mode: int) -> Content:
    """Read a file or a directory; what we may not read is as if it were not there.

    Args:
        path: by which our own process reaches it.
        mode: its st_mode.
    """
    try:
        if stat.S_ISREG(mode):
            return Content(redirect=_redirect(path))
        if stat.S_ISDIR(mode):
            return _directory(path)
    except OSError:
        pass
    return Content()


def describe(content: Content, path: bytes) -> tuple[str, Remedy]:
    """Return what to add to the description of a file, and what helps.

    Args:
        content: as `read` returned it.
        path: as the client has it.
    """
    if content.redirect:
        target = escape(content.redirect)
        helps = f"use the path of the socket: localechoctl explain {shell.path(content.redirect)}"
        return f"; GnuPG's programs (%Assuan%) take it for {target}, connect(2) does not", advice(
            helps
        )
    if content.sockets:
        names = [escape(name) for name in content.sockets[:_SHOWN]]
        more = len(content.sockets) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more else "")
        first = shell.path(path.rstrip(b"/") + b"/" + content.sockets[0])
        return f"; the sockets in it: {listed}", advice(f"add the name of a socket: {first}")
    if content.is_empty:
        cause = "; it is empty: container engines create one where the source of a mount is missing"
        helps = (
            f"stop the container, rmdir {shell.path(path)}, start the server, and then "
            "the container; --mount type=bind creates no directory, unlike -v"
        )
        return cause, advice(helps)
    return "", advice("correct the path")


def _redirect(path: bytes) -> bytes:
    first, *lines = (read_regular(path, _LONGEST_REDIRECT) or b"").split(b"\n")
    if first != _REDIRECT:
        return b""
    targets = (line.removeprefix(b"socket=") for line in lines if line.startswith(b"socket="))
    return next(targets, b"")


def _directory(path: bytes) -> Content:
    with os.scandir(path) as entries:
        found = list(islice(entries, _MOST_ENTRIES))
    sockets = [each.name for each in found if _is_socket(each)]
    return Content(sockets=tuple(sorted(sockets)), is_empty=not found)


def _is_socket(entry: os.DirEntry[bytes]) -> bool:
    try:
        return stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)
    except OSError:  # it has gone
        return False
