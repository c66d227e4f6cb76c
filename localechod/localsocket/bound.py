"""A bound socket with its file: what is requested of it, and how it is kept or removed."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from localechod.errors import SocketError
from localechod.localsocket.address import Address
from localechod.localsocket.entry import PinnedEntry
from localechod.localsocket.hints import chmod_hint, chown_hint


@dataclass(frozen=True, slots=True)
class Request:
    """What to bind. `type` is a socket.SOCK_*; uid and gid -1 leave those that the file has.

    For an abstract address, mode, uid and gid are ignored: there is no file.

    Attributes:
        trusted: users other than root to whom the file's directory may belong; only root may
            change where its path leads. See trusted.py. None: any directory.
    """

    address: Address
    type: int
    mode: int
    uid: int
    gid: int
    backlog: int
    trusted: frozenset[int] | None = None


class Bound:
    """A socket at its address: non-blocking, close-on-exec, listening unless it is datagram.

    Attributes:
        sock: the socket.
        address: where it is bound.
        identity: (device, inode) of its file, as from stat(2); None where `file` was None from the
            start.
        file: its file, pinned; None where there is none (an abstract name, or a path that leads to
            another file), and after `remove` and `close`.
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
        not matter where the path leads by now, nor whether `sock` is closed already. They are
        closed here, and a second call does nothing.

        Returns:
            False where the file was removed, replaced, is not ours, or this user may not remove it.
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
        """Close everything but keep the file, for a later process that has the socket."""
        self.sock.close()
        if self.file:
            self.file.close()
            os.close(self.file.directory)
            self.file = None

    def restore(self, request: Request) -> None:
        """Set the file's owner and mode again, wherever it is by now, unless it is activated.

        Raises:
            SocketError: with the step that failed (chown, chmod) and a hint.
        """
        if self.file and not self.activated:
            set_owner(self.file, request)
            set_mode(self.file, request)


def set_owner(file: PinnedEntry, request: Request) -> None:
    """Change owner and group where they differ: without a difference, no privilege is needed.

    Raises:
        SocketError: with the step "chown" and a hint.
    """
    status = file.status
    uid = -1 if request.uid == status.st_uid else request.uid
    gid = -1 if request.gid == status.st_gid else request.gid
    if (uid, gid) != (-1, -1):
        with step("chown", request.address, chown_hint):
            os.chown(file.handle, uid, gid)


def set_mode(file: PinnedEntry, request: Request) -> None:
    """Set the requested mode, through the pinned descriptor.

    Raises:
        SocketError: with the step "chmod" and a hint.
    """
    with step("chmod", request.address, chmod_hint):
        os.chmod(file.handle, request.mode)  # noqa: PTH101 - a descriptor, not a path


@contextmanager
def step(action: str, address: Address, hint: Callable[[int, Address], str]) -> Iterator[None]:
    """Turn the OSError of one step into a SocketError.

    Args:
        action: the step's name, such as "bind".
        address: of the socket.
        hint: what helps, by errno and address.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        raise SocketError(action, number, str(address), hint(number, address)) from error
