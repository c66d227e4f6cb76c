"""Pinned socket files of senders: a reply goes to its sender's own socket, or is not sent.

A sender's name is the path that it gave to bind(2), not where its socket is. After a rename, or
through a symbolic link, the path leads to any socket that this process may write to: systemd's,
which would take the message as the service's own, or an echo's, which would answer for ever. So the
file at the path is pinned by an O_PATH descriptor (of a symbolic link, the link itself), and has to
be owned by the user who sent the datagram.

A pinned file is used for the next datagram too. Until then the path may lead elsewhere: lstat(2) is
cheaper than a new descriptor, and is omitted within a millisecond of the last check.
"""

import asyncio
import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass

# Pinned files at most: each takes a descriptor, of which clients need the rest.
_MOST = 64

# Seconds for which a pinned file is used without a check: less than a program takes to end and be
# started again under the same name.
_FRESH = 0.001

# Seconds after which an unused file is unpinned: it keeps its file system from being unmounted.
_IDLE = 5.0


@dataclass(slots=True)
class _PinnedFile:
    """A pinned file: its descriptor, also as a path, its stat(2), and when it was checked last."""

    descriptor: int
    handle: str
    identity: tuple[int, int]
    uid: int
    seen: float


class PinnedSenders:
    """The pinned files of one endpoint's senders.

    Args:
        loop: for unpinning files that are not used any more.
        ceiling: the lowest reserved descriptor, see Reactor; reserved ones are closed at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ceiling: int) -> None:
        self._loop = loop
        self._ceiling = ceiling
        self._files: dict[str, _PinnedFile] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def handle(self, path: str, uid: int, now: float) -> str:
        """Return a path that leads to the socket file that is at `path` now, and to no later one.

        It is valid until the next call.

        Args:
            path: a sender's name.
            uid: the user who sent; the file has to be theirs.
            now: monotonic seconds.

        Raises:
            OSError: EACCES for another user's file, and as open(2).
        """
        pinned = self._files.get(path)
        if pinned is None or (
            now - pinned.seen > _FRESH and not self._is_current(pinned, path, now)
        ):
            pinned = self._pin(path, now)
        if pinned.uid != uid:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return pinned.handle

    def forget(self, path: str) -> None:
        """Unpin a file: its socket is closed."""
        pinned = self._files.pop(path, None)
        if pinned is not None:
            os.close(pinned.descriptor)

    def close(self) -> None:
        """Unpin all files."""
        for path in list(self._files):
            self.forget(path)
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _is_current(self, pinned: _PinnedFile, path: str, now: float) -> bool:
        """Check a pinned file; unpin it if its path leads to another file, or its owner changed."""
        with suppress(OSError):
            status = os.lstat(path)
            if (status.st_dev, status.st_ino) == pinned.identity and status.st_uid == pinned.uid:
                pinned.seen = now
                return True
        self.forget(path)
        return False

    def _pin(self, path: str, now: float) -> _PinnedFile:
        if len(self._files) >= _MOST:
            self.forget(next(iter(self._files)))
        descriptor = self._open(path)
        if descriptor >= self._ceiling:
            self.close()
        status = os.fstat(descriptor)
        handle, identity = f"/proc/self/fd/{descriptor}", (status.st_dev, status.st_ino)
        pinned = self._files[path] = _PinnedFile(descriptor, handle, identity, status.st_uid, now)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_IDLE, self._unpin_unused)
        return pinned

    def _open(self, path: str) -> int:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE} or not self._files:
                raise
            self.close()
            descriptor = os.open(path, flags)
        return descriptor

    def _unpin_unused(self) -> None:
        due = time.monotonic() - _IDLE
        for path in [path for path, pinned in self._files.items() if pinned.seen <= due]:
            self.forget(path)
        self._sweep = self._loop.call_later(_IDLE, self._unpin_unused) if self._files else None
