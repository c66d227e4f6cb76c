"""Bind, own, then open: a local socket whose owner and mode are exact at every instant.

The order is the point, and each step has its reason:

1. The directory is opened once; what stands under the name is looked at without following links
   (`occupant`), and only a socket file that is proven dead is removed.
2. The socket gets mode 0 *before* bind: fchmod on an unbound socket decides the mode that its
   file is born with (less the umask, which cannot take anything from 0). So there is no umask to
   change, which would affect every other thread, and no instant at which anybody may connect.
3. It is bound to the final path itself. Binding elsewhere and renaming is atomic too, but the
   kernel keeps the name given to bind, and every listing would show the wrong one.
4. The new file is pinned, and the kernel's own list proves that it belongs to our socket. Without
   that, whoever may write to the directory could exchange it, and have root give them any file.
5. Owner, then mode, through the pinned descriptor. The other way round, the mode would for an
   instant be good for the wrong owner.
6. Only then listen. A datagram socket needs no listen: the mode of step 5 is what opens it.

Whatever fails after step 3 takes the file away again.
"""

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from localechod.errors import SocketError
from localechod.localsocket import diag, stale
from localechod.localsocket.address import Address
from localechod.localsocket.entry import DirectoryEntry, PinnedEntry
from localechod.localsocket.hints import bind_hint


@dataclass(frozen=True, slots=True)
class Request:
    """What to bind. `type` is a socket.SOCK_*; uid and gid -1 leave what the file was born with.

    For an abstract address mode, uid and gid mean nothing: there is no file to carry them.
    """

    address: Address
    type: int
    mode: int
    uid: int
    gid: int
    backlog: int


class Bound:
    """A socket at its address: non-blocking, close-on-exec, listening unless it is datagram.

    Attributes:
        sock: the socket.
        address: where it is bound.
        identity: (device, inode) of its file as stat(2) tells them; None where it has none that
            is ours to remove (abstract, or a socket that was handed to us).
        file: that file, pinned; None where there is none, and after `remove` and `close`.
        activated: another process, such as systemd, bound it and keeps it open (socket
            activation): it must not be shut down, and its file must not be removed or changed.
    """

    def __init__(
        self,
        sock: socket.socket,
        address: Address,
        file: PinnedEntry | None = None,
        *,
        activated: bool = False,
    ) -> None:
        self.sock = sock
        self.address = address
        self.activated = activated
        self.identity = file.identity if file else None
        self.file = file

    def remove(self) -> bool:
        """Remove the socket's file, only if it is still our own; see unlink(2).

        The descriptors of the directory and the file were opened when it was bound, so it does
        not matter what the path leads to by now, nor whether `sock` is closed already. They are
        let go of here: a second call does nothing.

        Returns:
            False where the file is gone, replaced, not ours, or may not be removed by this user.
        """
        file, self.file = self.file, None
        if not file:
            return False
        try:
            return not self.activated and file.unlink()
        except OSError:
            return False
        finally:
            file.close()
            os.close(file.directory)

    def close(self) -> None:
        """Close everything and leave the file where it is, for a successor that has the socket."""
        self.sock.close()
        if self.file:
            self.file.close()
            os.close(self.file.directory)
            self.file = None

    def restore(self, request: Request) -> None:
        """Give the file its owner and mode again, wherever it is by now, unless it is activated.

        Raises:
            SocketError: with the step that failed (chown, chmod) and what helps.
        """
        if self.file and not self.activated:
            _set_owner(self.file, request)
            _set_mode(self.file, request)


def bind(request: Request) -> Bound:
    """Create the socket that was asked for, or nothing at all.

    Works as root, as an ordinary user, and after a privilege drop.

    Raises:
        SocketError: with the step that failed (socket, bind, chown, chmod, listen) and what helps.
    """
    address = request.address
    with ExitStack() as undo:
        if address.is_abstract:
            sock = _create(request, undo)
            with _step("bind", address, partial(_abstract_hint, request.type)):
                sock.bind(address.sockaddr)
            _listen(sock, request)
            undo.pop_all()
            return Bound(sock, address)
        with _step("bind", address, bind_hint):
            entry = DirectoryEntry.open(address)
            undo.callback(entry.close)
            stale.remove_dead(entry, address)
        sock = _create(request, undo)
        os.fchmod(sock.fileno(), 0)
        with _step("bind", address, bind_hint):
            sock.bind(address.sockaddr)
            file = _pin_own(sock, entry, address, undo)
        _set_owner(file, request)
        _set_mode(file, request)
        _listen(sock, request)
        undo.pop_all()
        return Bound(sock, address, file)


@contextmanager
def _step(action: str, address: Address, hint: Callable[[int, Address], str]) -> Iterator[None]:
    """Turn the OSError of one step into the error that people read."""
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        raise SocketError(action, number, str(address), hint(number, address)) from error


def _create(request: Request, undo: ExitStack) -> socket.socket:
    with _step("socket", request.address, lambda *_: ""):
        sock = socket.socket(
            socket.AF_UNIX, request.type | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
    undo.callback(sock.close)
    return sock


def _pin_own(
    sock: socket.socket, entry: DirectoryEntry, address: Address, undo: ExitStack
) -> PinnedEntry:
    """Pin the file that bind has just created; from here on a failure removes it again."""
    try:
        file = entry.pin()
    except OSError:
        # Out of descriptors, say. By name is good enough here: who could have put anything else
        # there meanwhile could remove it as well.
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
    # No UNIX_DIAG (a sandbox without AF_NETLINK). Then it has to be exactly what we have just
    # made: nobody else can make a socket that belongs to us, and ours alone has no mode at all.
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


def _set_owner(file: PinnedEntry, request: Request) -> None:
    """Change owner and group where they differ: an ordinary user may ask for what is so already."""
    status = file.status
    uid = -1 if request.uid == status.st_uid else request.uid
    gid = -1 if request.gid == status.st_gid else request.gid
    if (uid, gid) != (-1, -1):
        with _step("chown", request.address, _chown_hint):
            os.chown(file.handle, uid, gid)


def _set_mode(file: PinnedEntry, request: Request) -> None:
    with _step("chmod", request.address, _chmod_hint):
        os.chmod(file.handle, request.mode)  # noqa: PTH101 - a descriptor, not a path


def _listen(sock: socket.socket, request: Request) -> None:
    if request.type != socket.SOCK_DGRAM:
        with _step("listen", request.address, lambda *_: ""):
            sock.listen(request.backlog)


def _abstract_hint(type_: int, number: int, address: Address) -> str:
    return stale.holder_of_name(address.raw, type_) if number == errno.EADDRINUSE else ""


def _chown_hint(number: int, address: Address) -> str:
    if number == errno.EPERM:
        return (
            "only root (CAP_CHOWN) may change the owner, "
            "and other users may change the group only to one that they are in"
        )
    return _chmod_hint(number, address)


def _chmod_hint(number: int, _: Address) -> str:
    match number:
        case errno.EPERM:
            return "only root (CAP_FOWNER) may change the mode of another user's file"
        case errno.ENOENT:
            return "owner and mode are set through /proc: mount it"
    return ""
