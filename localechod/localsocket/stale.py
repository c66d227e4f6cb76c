"""Stale socket files: whether the file at an address that is to be bound may be removed.

A socket file outlives its process, so every server finds its own old files. A refused connect
alone does not prove that a socket is dead: a server between its bind and its listen refuses as
well, and so does a file that is not a socket. A file is removed only if it refuses *and* UNIX_DIAG
does not list its device and inode. Any other file stays, and the error names its holder.

Connections that this process has accepted do not count. Their listener was closed for a new one,
because its file had been moved; the file is dead also if it is moved back.
"""

import enum
import errno
import os
import socket

from localechod.accounts import user_name
from localechod.errors import SocketError
from localechod.localsocket import diag
from localechod.localsocket.address import Address
from localechod.localsocket.entry import DirectoryEntry, PinnedEntry
from localechod.localsocket.hints import kind, listing
from localechod.localsocket.holders import holds
from localechod.localsocket.peer import Credentials, command, credentials

_HELP = "stop that process or choose another address"


class Liveness(enum.Enum):
    """Whether the socket of a socket file is still open."""

    DEAD = "no process holds its socket"
    ALIVE = "a process holds its socket"
    UNKNOWN = "unknown"


def judge(*, known: bool | None, answer: int) -> Liveness:
    """Decide whether a socket file is dead.

    Args:
        known: UNIX_DIAG lists a socket that was bound as this file; None where the list could not
            be read.
        answer: the errno of a non-blocking stream connect to it, 0 for success.
    """
    if known:
        return Liveness.ALIVE
    if answer == errno.ECONNREFUSED:
        return Liveness.UNKNOWN if known is None else Liveness.DEAD
    # EAGAIN: alive with a full backlog. EPROTOTYPE: alive with another type; a dead one refuses
    # every type. UNIX_DIAG does not list it, so it is in another network namespace.
    if answer in {0, errno.EAGAIN, errno.EPROTOTYPE}:
        return Liveness.ALIVE
    return Liveness.UNKNOWN


def remove_dead(entry: DirectoryEntry, address: Address) -> None:
    """Remove a dead socket file before a bind; raise for any other file.

    Raises:
        SocketError: EADDRINUSE, as from bind(2) itself; the hint describes the file.
        OSError: the directory entry cannot be inspected.
    """
    try:
        found = entry.pin()
    except FileNotFoundError:
        return
    try:
        obstacle = _obstacle(found) or _remove(found)
    finally:
        found.close()
    if obstacle:
        raise SocketError("bind", errno.EADDRINUSE, str(address), obstacle)


def holder_of_name(name: bytes, type_: int) -> str:
    """Return which process holds an abstract name; "" where that is unknown.

    Each socket type has its own abstract names, so a socket of another type does not conflict.
    """
    try:
        known = [each for each in diag.named(name) if each.type == type_]
    except OSError:
        return ""
    return f"{_describe_holder(known)}: {_HELP}" if known else ""


def _obstacle(found: PinnedEntry) -> str:
    """Return why this entry must stay; "" for a dead socket file."""
    status = found.status
    if kind(status.st_mode) != "a socket":
        return (
            f"{kind(status.st_mode)} has that path ({listing(status)}), and only stale sockets "
            "are removed: move it or choose another path"
        )
    try:
        known, unlisted = _holding(found), ""
    except OSError as error:
        known, unlisted = None, error.strerror or str(error)
    answer, server = (0, None) if known else _probe(found)
    liveness = judge(known=None if known is None else bool(known), answer=answer)
    if liveness is Liveness.DEAD:
        return ""
    if known:
        return f"{_describe_holder(known, found)}: {_HELP}"
    if liveness is Liveness.ALIVE:
        who = f"{_describe_peer(server)} answers" if server else "another process holds it"
        where = "" if unlisted else ", in another network namespace"
        return f"{who}{where}: {_HELP}"
    if answer == errno.ECONNREFUSED:
        return (
            f"it seems to be stale, but the kernel's list of sockets could not be read to prove "
            f"it ({unlisted}): remove the file if no server uses it"
        )
    return (
        f"cannot tell whether a process listens on it ({os.strerror(answer)}, "
        f"{listing(status)}): remove the file if no server uses it"
    )


def _holding(found: PinnedEntry) -> list[diag.DiagSocket]:
    """List the sockets that were bound as this file, unless all are our own connections."""
    known = diag.bound_to(*found.diag_identity)
    if all(map(_is_accepted, known)) and holds([each.inode for each in known]):
        return []
    return known


def _is_accepted(each: diag.DiagSocket) -> bool:
    """Whether it is a connection, which has the name of its listener."""
    return each.state == diag.STATE_ESTABLISHED and each.type != socket.SOCK_DGRAM


def _remove(found: PinnedEntry) -> str:
    """Remove a dead socket file; return why where that fails."""
    try:
        if found.unlink():
            return ""
    except OSError as error:
        return (
            f"no process listens on it, but removing it failed: {error.strerror} "
            f"({listing(found.status)})"
        )
    return "the file was replaced during the check: try again"


def _describe_holder(known: list[diag.DiagSocket], found: PinnedEntry | None = None) -> str:
    """Name the processes that hold the sockets of one address, by the best source available."""
    main = min(known, key=_is_accepted)  # of a listener and its connections, the listener
    what = "a connection that was accepted through it" if _is_accepted(main) else "it"
    holders = diag.holders(main.inode)
    if holders:
        first, others = holders[0], len(holders) - 1
        who = _describe_process(first.pid, first.uid, first.command)
        return f"{who} and {others} more hold {what}" if others else f"{who} holds {what}"
    # Only root may read other users' descriptors in /proc. But every client that may connect can
    # read the listener's credentials, at the cost of one connection that is closed at once.
    if found and main.state == diag.STATE_LISTEN:
        _, server = _probe(found, main.type)
        if server:
            return f"{_describe_peer(server)} listens on it"
    owner = "another process" if main.uid is None else f"a process of user {user_name(main.uid)}"
    return f"{owner} holds {what}"


def _probe(found: PinnedEntry, type_: int = socket.SOCK_STREAM) -> tuple[int, Credentials | None]:
    """Connect to exactly this file; return the errno and, on success, the server's credentials."""
    with socket.socket(socket.AF_UNIX, type_ | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as probe:
        number = probe.connect_ex(found.handle)
        return number, None if number else credentials(probe)


def _describe_peer(server: Credentials) -> str:
    return _describe_process(server.pid, server.uid, command(server.pid))


def _describe_process(pid: int, uid: int, name: str) -> str:
    """Describe a process; pid 0 is one in a pid namespace whose processes we cannot see."""
    details = f"{name}, user {user_name(uid)}" if name else f"user {user_name(uid)}"
    return f"pid {pid} ({details})" if pid else f"a process in another container ({details})"
