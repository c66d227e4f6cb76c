"""Who or what already has the address that a new socket wants, and whether it may be removed.

A socket file outlives its process, so every server meets its own old files. A refused connect
alone does not prove that a file is dead: a server between its bind and its listen refuses as
well, and so does a file that is no socket at all. Only what refuses *and* is not known to
UNIX_DIAG by device and inode is removed. Everything else stays, and the error says who holds it.
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
from localechod.localsocket.peer import Credentials, command, credentials

_HELP = "stop that process or choose another address"


class Liveness(enum.Enum):
    """What is known about a socket file."""

    DEAD = "no process holds its socket"
    ALIVE = "somebody holds its socket"
    UNKNOWN = "it cannot be told"


def judge(*, known: bool | None, answer: int) -> Liveness:
    """Decide about a socket file.

    Args:
        known: whether UNIX_DIAG lists a socket that was bound as this file; None where it could
            not be asked.
        answer: the errno of a non-blocking stream connect to it, 0 for success.
    """
    if known:
        return Liveness.ALIVE
    if answer == errno.ECONNREFUSED:
        return Liveness.UNKNOWN if known is None else Liveness.DEAD
    # EAGAIN: alive and its backlog is full. EPROTOTYPE: alive and of another type; a dead one
    # refuses whatever its type. UNIX_DIAG does not list it: another network namespace.
    if answer in {0, errno.EAGAIN, errno.EPROTOTYPE}:
        return Liveness.ALIVE
    return Liveness.UNKNOWN


def remove_dead(entry: DirectoryEntry, address: Address) -> None:
    """Make way for a bind: remove a dead socket file, refuse everything else.

    Raises:
        SocketError: EADDRINUSE, as bind(2) itself would say; the hint tells what is in the way.
        OSError: the place cannot be looked at.
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
    """Say who holds an abstract name; "" where that cannot be found out.

    Each socket type has abstract names of its own: a datagram socket is in no stream's way.
    """
    try:
        known = [each for each in diag.named(name) if each.type == type_]
    except OSError:
        return ""
    return f"{_describe_holder(known)}: {_HELP}" if known else ""


def _obstacle(found: PinnedEntry) -> str:
    """Say why this entry must stay; "" for a dead socket file."""
    status = found.status
    if kind(status.st_mode) != "a socket":
        return (
            f"{kind(status.st_mode)} has that path ({listing(status)}), and only stale sockets "
            "are removed: move it or choose another path"
        )
    try:
        known, unlisted = diag.bound_to(*found.diag_identity), ""
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


def _remove(found: PinnedEntry) -> str:
    """Remove a dead socket file; say why where that is not possible."""
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
    """Name the processes behind the sockets of one address, by the best source there is."""
    # An accepted connection bears the name of its listener, which is the one to name.
    main = min(known, key=lambda each: each.state == diag.STATE_ESTABLISHED)
    left_over = main.state == diag.STATE_ESTABLISHED and main.type != socket.SOCK_DGRAM
    what = "a connection that was accepted through it" if left_over else "it"
    holders = diag.holders(main.inode)
    if holders:
        first, others = holders[0], len(holders) - 1
        who = _describe_process(first.pid, first.uid, first.command)
        return f"{who} and {others} more hold {what}" if others else f"{who} holds {what}"
    # /proc tells only root about other users' descriptors; a listener tells everyone who may
    # connect, at the price of one connection that is closed at once.
    if found and main.state == diag.STATE_LISTEN:
        _, server = _probe(found, main.type)
        if server:
            return f"{_describe_peer(server)} listens on it"
    owner = "another process" if main.uid is None else f"a process of user {user_name(main.uid)}"
    return f"{owner} holds {what}"


def _probe(found: PinnedEntry, type_: int = socket.SOCK_STREAM) -> tuple[int, Credentials | None]:
    """Connect to exactly this file; return the errno and, where it worked, who listens."""
    with socket.socket(socket.AF_UNIX, type_ | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as probe:
        number = probe.connect_ex(found.handle)
        return number, None if number else credentials(probe)


def _describe_peer(server: Credentials) -> str:
    return _describe_process(server.pid, server.uid, command(server.pid))


def _describe_process(pid: int, uid: int, name: str) -> str:
    """Show a process; pid 0 is one in a pid namespace that we cannot see into."""
    details = f"{name}, user {user_name(uid)}" if name else f"user {user_name(uid)}"
    return f"pid {pid} ({details})" if pid else f"a process in another container ({details})"
