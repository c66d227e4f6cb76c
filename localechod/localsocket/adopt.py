"""Sockets that another process has bound for us: an earlier process of ours, or systemd.

A passed descriptor is only a number. What it refers to is asked of the kernel; its name and its
position in a list prove nothing.
"""

import errno
import os
import socket
import stat
from contextlib import ExitStack, suppress

from localechod.errors import SocketError
from localechod.localsocket.address import Address
from localechod.localsocket.bind import is_own
from localechod.localsocket.bound import Bound, Request
from localechod.localsocket.entry import DirectoryEntry, PinnedEntry
from localechod.localsocket.rights import refuse_descriptors


def adopt(descriptor: int, request: Request) -> Bound:
    """Take over a socket that an earlier process has bound, if it is what is requested now.

    Any other socket is closed and its file removed, so that the address can be bound again.

    Args:
        descriptor: of the socket; this function owns it from now on.
        request: what `bind` would be called with.

    Raises:
        SocketError: with the action "adopt": it is not a Unix domain socket, has another type,
            address, owner or mode, or its path leads to another file by now.
        OSError: the descriptor is not a socket.
    """
    with ExitStack() as undo:
        sock = socket.socket(fileno=descriptor)
        undo.callback(sock.close)
        fault = _fault(sock, request)
        file = None
        if not fault and not request.address.is_abstract:
            file = _own_file(sock, request.address)
            if file is None:
                fault = "has lost its file: the path leads to another one"
            else:
                undo.callback(_remove, file)
                fault = _difference(file.status, request)
        if fault:
            hint = f"the inherited socket {fault}"
            raise SocketError("adopt", errno.EINVAL, str(request.address), hint)
        sock.setblocking(False)
        refuse_descriptors(sock)
        if request.type != socket.SOCK_DGRAM:
            sock.listen(request.backlog)
        undo.pop_all()
        return Bound(sock, request.address, file)


def wrap_activated(sock: socket.socket, address: Address) -> Bound:
    """Wrap a socket that another process, such as systemd, has bound and keeps open.

    Its file keeps its owner and mode, and listen(2) is not called.

    Args:
        sock: bound to the address, and listening unless it is datagram; owned by the result.
        address: the address that the caller found it bound to.

    Returns:
        The socket, marked as activated; without a file where its path leads to another one.
    """
    sock.setblocking(False)
    refuse_descriptors(sock)
    file = None if address.is_abstract else _own_file(sock, address)
    return Bound(sock, address, file, activated=True)


def name_of(sock: socket.socket) -> Address:
    """Return the address of a local socket, by getsockname(2); empty where it is not bound."""
    name = sock.getsockname()
    return Address(name if isinstance(name, bytes) else os.fsencode(name))


def close_and_remove(descriptor: int) -> None:
    """Close a socket that is not needed any more, and remove its file if it is still its own.

    Args:
        descriptor: of the socket; this function closes it.

    Raises:
        OSError: it is not a socket.
    """
    with socket.socket(fileno=descriptor) as sock:
        if sock.family != socket.AF_UNIX:
            return
        address = name_of(sock)
        file = None if address.is_abstract else _own_file(sock, address)
    if file is not None:
        _remove(file)


def _fault(sock: socket.socket, request: Request) -> str:
    if sock.family != socket.AF_UNIX:
        return "is not a Unix domain socket"
    if sock.type != request.type:
        return f"is of type {sock.type} instead of {request.type}"
    name = name_of(sock)
    return "" if name == request.address else f"is bound to {name}"


def _own_file(sock: socket.socket, address: Address) -> PinnedEntry | None:
    """Pin the socket's own file; None where the path leads to another, so no client finds it."""
    with ExitStack() as undo, suppress(OSError):
        entry = DirectoryEntry.open(address)
        undo.callback(entry.close)
        file = entry.pin()
        undo.callback(file.close)
        if is_own(sock, file):
            undo.pop_all()
            return file
    return None


def _difference(status: os.stat_result, request: Request) -> str:
    if stat.S_IMODE(status.st_mode) != request.mode:
        return f"has mode {stat.S_IMODE(status.st_mode):04o} instead of {request.mode:04o}"
    if (status.st_uid, status.st_gid) != (request.uid, request.gid):
        return "has another owner"
    return ""


def _remove(file: PinnedEntry) -> None:
    with suppress(OSError):
        file.unlink()
    file.close()
    os.close(file.directory)
