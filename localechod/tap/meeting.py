"""The private socket to which this process connects a client's socket, in the client's place."""

import os
import shutil
import socket
import tempfile
from itertools import count
from typing import Self

from localechod.tap.supervision import can_take


class Meeting:
    """A directory that only this user can enter, with one listener. Use it as a context manager.

    Args:
        type_: a socket.SOCK_* of the target; streams and records may differ from client to client.

    Attributes:
        takes: the sockets of clients can be copied, as `supervision.can_take` says.
    """

    def __init__(self, type_: int) -> None:
        self.type = type_
        self.takes = can_take()
        # Not the user's TMPDIR: that may be too long for a socket's path.
        self._directory = tempfile.mkdtemp(prefix=f"localechoctl-tap-{os.getpid()}-", dir="/tmp")
        self._listeners: dict[int, tuple[socket.socket, str]] = {}
        self._numbers = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for listener, _ in self._listeners.values():
            listener.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def path(self) -> str:
        """Return a new path in the directory."""
        return os.path.join(self._directory, str(next(self._numbers)))  # noqa: PTH118 - one string

    def bring(self, client: socket.socket) -> socket.socket:
        """Connect a client's socket, and return the other end of that connection.

        Nobody else connects in between: the event loop calls this, and the directory is private.

        Raises:
            OSError: the client's socket cannot be connected.
        """
        kind = client.type
        if kind not in self._listeners:
            listener = socket.socket(socket.AF_UNIX, kind)
            path = self.path()
            listener.bind(path)
            listener.listen(1)
            self._listeners[kind] = (listener, path)
        listener, path = self._listeners[kind]
        client.connect(path)
        return listener.accept()[0]
