"""Pinned socket files of senders: a reply goes to its sender's own socket, or is not sent.

A sender's name is the path that it gave to bind(2), not where its socket is. After a rename, or
through a symbolic link, the path leads to any socket that this process may write to: systemd's,
which would take the message as the service's own, or an echo's, which would answer for ever. So the
file at the path is pinned by an O_PATH descriptor (of a symbolic link, the link itself), and has to
be owned by the user who sent the datagram.

A pinned file is used for the next datagram too. Until then the path may lead elsewhere: it is
looked up again, but not within a millisecond of the last time. lstat(2) would be cheaper, but would
follow a link to a descriptor of this process (`localsocket/pin.py`).

A path can take ten milliseconds to look up: forty symbolic links of four kilobytes each. So
look-ups are timed: a user gets no more replies in the same turn after long ones, and long ones take
of the user's share of time (proof_budget.py).
"""

import asyncio
import errno
import os
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct

from localechod.accounts import identifies
from localechod.echo.datagram.proof_budget import ProofBudget
from localechod.localsocket.pin import pin

# Pinned files at most: each takes a descriptor, of which clients need the rest.
_MOST = 64

# Seconds for which a pinned file is used without a check: less than a program takes to end and be
# started again under the same name.
_FRESH = 0.001

# Seconds of look-ups for one user in a turn, after which they get no more replies in it. A usual
# look-up takes ten microseconds, and a turn has 32.
_MOST_SECONDS = 0.005

# Seconds from which a look-up is a long one.
_LONG = 0.001

# Seconds after which an unused file is unpinned: it keeps its file system from being unmounted.
_IDLE = 5.0


class _PinnedFile(Struct):
    """A pinned file: its descriptor, also as a path, its stat(2), and when it was checked last."""

    descriptor: int
    handle: str
    identity: tuple[int, int]
    uid: int
    seen: float


class PinnedSenders:
    """The pinned files of one endpoint's senders.

    Attributes:
        seconds: what look-ups have taken since `begin`.

    Args:
        loop: for unpinning files that are not used any more.
        ceiling: the lowest reserved descriptor, see Reactor; reserved ones are closed at once.
        budget: the time that long look-ups may take.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ceiling: int,
        budget: ProofBudget,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = 0.0
        self._loop = loop
        self._ceiling = ceiling
        self._budget = budget
        self._clock = clock
        self._taken: defaultdict[int, float] = defaultdict(float)  # seconds, by user
        self._files: dict[str, _PinnedFile] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Note that a turn begins, in which each user may cause look-ups anew."""
        self.seconds = 0.0
        self._taken.clear()

    def handle(self, path: str, uid: int, now: float) -> str:
        """Return a path that leads to the socket file that is at `path` now, and to no later one.

        It is valid until the next call.

        Args:
            path: a sender's name.
            uid: the user who sent; the file has to be theirs.
            now: monotonic seconds.

        Raises:
            OSError: EACCES for a file that is not known to be this user's, and as open(2).
            TimeoutError: ETIMEDOUT, look-ups for this user have taken too long.
        """
        pinned = self._files.get(path)
        if pinned is None or now - pinned.seen > _FRESH:
            if self._taken[uid] >= _MOST_SECONDS or not self._budget.allows(uid, now):
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), path)
            started = self._clock()
            try:
                if pinned is None or not self._is_current(pinned, path, now):
                    pinned = self._pin(path, now)
            finally:
                took = self._clock() - started
                self._taken[uid] += took
                self.seconds += took
                if took >= _LONG:
                    self._budget.take(uid, took, now)
        if pinned.uid != uid or not identifies(uid):
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
            status = _status(path)
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
        try:
            descriptor = pin(path)
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE} or not self._files:
                raise
            self.close()
            descriptor = pin(path)
        return descriptor

    def _unpin_unused(self) -> None:
        due = time.monotonic() - _IDLE
        for path in [path for path, pinned in self._files.items() if pinned.seen <= due]:
            self.forget(path)
        self._sweep = self._loop.call_later(_IDLE, self._unpin_unused) if self._files else None


def _status(path: str) -> os.stat_result:
    descriptor = pin(path)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)
