"""Connect to a local socket, for clients: blocking, with a deadline, and a reason if it fails.

Two facts about local sockets:

A full backlog. A non-blocking connect to a local socket fails with EAGAIN at once, and no event
reports when the backlog has space again; event loops get this wrong. But a *blocking* connect
waits in the kernel until there is space, for as long as SO_SNDTIMEO allows. This module uses
that: it neither polls nor sleeps, and the waiting clients are woken as the server accepts.

A datagram client. A server can reply to it only if it has a name of its own, which
`_bind_reply_address` gives it.
"""

import errno
import socket
import struct
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from localechod.errors import SocketError
from localechod.localsocket.address import Address
from localechod.localsocket.rights import refuse_descriptors
from localechod.localsocket.types import TYPES

_TIMEVAL = struct.Struct("ll")  # seconds, microseconds

# Not the user's TMPDIR: that may be too long for a socket's path, inaccessible for the server's
# user, or, worse, a directory that the server's user can write to.
_REPLY_ROOT = "/tmp"  # noqa: S108 - a private directory is made in it


def import_all() -> None:
    """Import the modules that only a datagram client or a failure needs.

    Most clients need none of them, and they take half of this module's import time. Call this
    before a change to a user who may be unable to read the program's files.
    """
    import tempfile  # noqa: F401, PLC0415 - see above

    from localechod.localsocket import diag, hints  # noqa: F401, PLC0415 - see above


class Connected:
    """A connected, blocking socket. Use it as a context manager, or call `close`.

    Attributes:
        sock: the socket; its timeouts are the caller's to set.
        type: the socket.SOCK_* that was requested or found.
    """

    def __init__(self, sock: socket.socket, type: int, reply: Path | None = None) -> None:  # noqa: A002 - socket(2)'s own word
        self.sock = sock
        self.type = type
        self._reply = reply

    def close(self) -> None:
        """Close the socket and remove the file of its reply address; a second call does nothing."""
        self.sock.close()
        if self._reply:
            _remove(self._reply)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def connect(address: Address, type: int | None, timeout: float) -> Connected:  # noqa: A002 - socket(2)'s own word
    """Connect within `timeout` seconds; where `type` is None, find the server's type.

    Only a full backlog takes time. Finding the type does not disturb the server: a connect with
    the wrong type fails in the kernel, with EPROTOTYPE, or ECONNREFUSED for an abstract name, as
    each type has its own abstract names.

    Raises:
        SocketError: the action is "connect" (EAGAIN: the backlog stayed full), "socket" (out of
            descriptors), or "bind" where a datagram client could not bind its reply address.
    """
    deadline = time.monotonic() + timeout
    wrong_type = errno.ECONNREFUSED if address.is_abstract else errno.EPROTOTYPE
    *candidates, last = TYPES.values() if type is None else (type,)
    for candidate in candidates:
        try:
            return _connect(address, candidate, deadline)
        except SocketError as error:
            if error.errno != wrong_type:
                raise
    return _connect(address, last, deadline)


def _connect(address: Address, type_: int, deadline: float) -> Connected:
    with ExitStack() as undo:
        try:
            sock = socket.socket(socket.AF_UNIX, type_ | socket.SOCK_CLOEXEC)
        except OSError as error:
            raise SocketError("socket", error.errno or errno.EIO, str(address)) from error
        undo.callback(sock.close)
        refuse_descriptors(sock)
        try:
            _establish(sock, address, deadline)
        except OSError as error:
            raise _failure("connect", error, address) from error
        reply = _bind_reply_address(sock) if type_ == socket.SOCK_DGRAM else None
        undo.pop_all()
        return Connected(sock, type_, reply)


def _establish(sock: socket.socket, address: Address, deadline: float) -> None:
    """Connect, waiting for space in the backlog until the deadline (then EAGAIN)."""
    while True:
        # Zero would mean no time limit; the kernel rounds up to its own tick.
        left = max(deadline - time.monotonic(), 0.000_001)
        timeval = _TIMEVAL.pack(int(left), int(left % 1 * 1_000_000) or 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
        sock.connect(address.sockaddr)
        if _is_connected(sock):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bytes(_TIMEVAL.size))
            return


def _is_connected(sock: socket.socket) -> bool:
    """Verify a success: Python also reports one when a signal has interrupted the wait."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _bind_reply_address(sock: socket.socket) -> Path | None:
    """Bind a connected datagram socket for the replies; return the directory of its path, if any.

    An abstract name of the kernel's choice (unix(7), autobind) reaches a server that has another
    root or another /tmp than we have, as in a container or under PrivateTmp=, but none in another
    network namespace. A path is the other way round. Where both differ, neither name is known to
    work, and the path is used.

    No other process can send to it: the socket is connected first, so the kernel refuses every
    sender but the server (EPERM). Connecting also fails at once, not after a timeout, when there
    is no server.
    """
    return None if _bind_abstract(sock) else _bind_in_private_directory(sock)


def _bind_abstract(sock: socket.socket) -> bool:
    """Bind to an abstract name if the kernel lists our peer in our own network namespace."""
    from localechod.localsocket import diag  # noqa: PLC0415 - see import_all

    try:
        peer = diag.of_socket(sock).peer
        if not peer or not diag.of_inode(peer):
            return False
        sock.bind(b"")
    except OSError:
        return False
    return True


def _bind_in_private_directory(sock: socket.socket) -> Path:
    """Bind to a path that no other user can replace; return its directory.

    A server that runs as any user must be able to search the directory and write to the socket.

    Raises:
        SocketError: the action is "bind".
    """
    import tempfile  # noqa: PLC0415 - see import_all

    directory = None
    try:
        directory = Path(tempfile.mkdtemp(prefix="localsocket-", dir=_REPLY_ROOT))  # mode 0700
        path = directory / "reply"
        sock.bind(str(path))
        path.chmod(0o666)
        directory.chmod(0o711)
    except OSError as error:
        if directory:
            _remove(directory)
        name = Address.parse(f"{directory or _REPLY_ROOT}/reply")
        raise _failure("bind", error, name) from error
    return directory


def _failure(action: str, error: OSError, address: Address) -> SocketError:
    from localechod.localsocket import hints  # noqa: PLC0415 - see import_all

    number = error.errno or errno.EIO
    hint = hints.bind_hint if action == "bind" else hints.connect_hint
    return SocketError(action, number, str(address), hint(number, address))


def _remove(directory: Path) -> None:
    with suppress(OSError):
        (directory / "reply").unlink(missing_ok=True)
        directory.rmdir()
