"""Bind, own, then open: a local socket whose owner and mode are exact at every instant.

The order of the steps matters, and each has its reason:

1. The directory is opened once. Where root binds, only root may change where its path leads
   (`trusted`), because step 3 looks the path up again. The file that has the name is inspected
   without following links (`stale`), and only a socket file that is proven dead is removed.
2. The socket gets mode 0 *before* bind: fchmod on an unbound socket sets the mode that its file
   is created with (less the umask, which cannot take anything from 0). So the umask need not be
   changed, which would affect every other thread, and there is no instant at which another user
   may connect.
3. It is bound to the final path itself. Binding to a temporary path and renaming it is atomic
   too, but the kernel keeps the name given to bind, and every listing would show the wrong one.
4. The new file is pinned, and the kernel's own list proves that it belongs to our socket. Without
   that, a user who may write to the directory could replace it, and make root give them any file.
5. Owner, then mode, through the pinned descriptor. In the reverse order, the mode would apply to
   the wrong owner for an instant.
6. Only then listen. A datagram socket needs no listen: the mode of step 5 opens it.

A failure after step 3 removes the file again.
"""

import errno
import os
import socket
import stat
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from localechod.errors import SocketError
from localechod.localsocket import diag, stale
from localechod.localsocket.address import Address
from localechod.localsocket.bound import Bound, Request, set_mode, set_owner, step
from localechod.localsocket.entry import DirectoryEntry, PinnedEntry
from localechod.localsocket.hints import bind_hint
from localechod.localsocket.rights import refuse_descriptors
from localechod.localsocket.trusted import open_trusted

_UNSAFE = (
    "a user that can replace a directory of the path chooses where root makes a file: chown it to "
    "root and chmod go-w it, or choose another path"
)


def bind(request: Request) -> Bound:
    """Create the requested socket, or nothing at all.

    Works as root, as an ordinary user, and after a privilege drop.

    Raises:
        SocketError: with the step that failed (socket, bind, chown, chmod, listen) and a hint.
        LocalechodError: another user could change where the path leads.
    """
    address = request.address
    with ExitStack() as undo:
        if address.is_abstract:
            sock = _create(request, undo)
            with step("bind", address, partial(_abstract_hint, request.type)):
                sock.bind(address.sockaddr)
            _listen(sock, request)
            undo.pop_all()
            return Bound(sock, address)
        with step("bind", address, bind_hint):
            entry = _open_directory(request)
            undo.callback(entry.close)
            stale.remove_dead(entry, address)
        sock = _create(request, undo)
        os.fchmod(sock.fileno(), 0)
        with step("bind", address, bind_hint):
            sock.bind(address.sockaddr)
            file = _pin_own(sock, entry, address, undo)
        set_owner(file, request)
        set_mode(file, request)
        _listen(sock, request)
        undo.pop_all()
        return Bound(sock, address, file)


def _open_directory(request: Request) -> DirectoryEntry:
    if request.trusted is None:
        return DirectoryEntry.open(request.address)
    path = Path(os.fsdecode(request.address.raw))
    directory = open_trusted(
        path.parent, "a socket that root binds", owners=request.trusted, hint=_UNSAFE
    )
    return DirectoryEntry(directory, os.fsencode(path.name))


def _create(request: Request, undo: ExitStack) -> socket.socket:
    with step("socket", request.address, lambda *_: ""):
        sock = socket.socket(
            socket.AF_UNIX, request.type | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
    undo.callback(sock.close)
    refuse_descriptors(sock)
    return sock


def _pin_own(
    sock: socket.socket, entry: DirectoryEntry, address: Address, undo: ExitStack
) -> PinnedEntry:
    """Pin the file that bind has just created; from here on, a failure removes it."""
    try:
        file = entry.pin()
    except OSError:
        # For example, out of descriptors. Unlink by name is safe enough here: a user who could
        # have replaced the file meanwhile could remove it as well.
        with suppress(OSError):
            os.unlink(entry.name, dir_fd=entry.directory)
        raise
    undo.callback(file.close)
    if not is_own(sock, file):
        raise SocketError(
            "bind",
            errno.EADDRINUSE,
            str(address),
            "the file was replaced during the bind: another user may write to the directory, "
            "choose another one",
        )
    undo.callback(_remove_quietly, file)
    return file


def is_own(sock: socket.socket, file: PinnedEntry) -> bool:
    """Prove that the pinned file is the one that bind created for this very socket."""
    with suppress(OSError):
        return diag.of_socket(sock).is_bound_to(*file.diag_identity)
    # No UNIX_DIAG (a sandbox without AF_NETLINK). Then it must have exactly the attributes of the
    # file just created: no other user can create a socket that belongs to us with mode 0.
    status = file.status
    return (
        stat.S_ISSOCK(status.st_mode)
        and stat.S_IMODE(status.st_mode) == 0
        and status.st_uid == os.geteuid()
        and status.st_nlink == 1
    )


def _remove_quietly(file: PinnedEntry) -> None:
    with suppress(OSError):
        file.unlink()


def _listen(sock: socket.socket, request: Request) -> None:
    if request.type != socket.SOCK_DGRAM:
        with step("listen", request.address, lambda *_: ""):
            sock.listen(request.backlog)


def _abstract_hint(type_: int, number: int, address: Address) -> str:
    return stale.holder_of_name(address.raw, type_) if number == errno.EADDRINUSE else ""
