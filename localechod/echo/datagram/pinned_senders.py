"""Senders' socket files, pinned: a datagram's reply goes to its sender's own socket or nowhere.

A sender's name is what it gave to bind(2), not where it is. After a rename or through a symbolic
link it leads to any socket that we may write to: to systemd's, where we would speak in our own
name, or to an echo's, which would answer for ever. So what is there is pinned by an O_PATH
descriptor, a link itself and not its target, and has to belong to the user who sent.

Pins are kept for the next datagram. Until then the name may lead elsewhere: another look at it is
cheaper than a new pin, and is left out within a millisecond of the last.
"""

import asyncio
import errno
import os
import time
from contextlib import suppress
from dataclasses import dataclass

# Kept at most. A descriptor each: a host has few, and clients are worth more.
_KEPT = 64

# Seconds for which a pin is good without another look: less than a program takes to end and be
# started again under the same name.
_GOOD = 0.001

# Seconds after which what was not used is let go: a pin keeps its file system from being unmounted.
_IDLE = 5.0


@dataclass(slots=True)
class _Pin:
    """A pinned file: its descriptor as a path, what stat(2) said of it, and when it was seen."""

    descriptor: int
    handle: str
    identity: tuple[int, int]
    uid: int
    seen: float


class PinnedSenders:
    """The pinned files of one endpoint's senders.

    Args:
        loop: for letting go of what is not used any more.
        ceiling: descriptors from this number on are not kept: the last ones are for others.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ceiling: int) -> None:
        self._loop = loop
        self._ceiling = ceiling
        self._pins: dict[str, _Pin] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def handle(self, path: str, uid: int, now: float) -> str:
        """Return a path that leads to the socket file at `path` itself, whatever comes there later.

        It is good until the next call.

        Args:
            path: a sender's name.
            uid: the user who sent, who has to own what is there.
            now: monotonic seconds.

        Raises:
            OSError: EACCES for somebody else's file, and as open(2).
        """
        pin = self._pins.get(path)
        if pin is None or (now - pin.seen > _GOOD and not self._stands(pin, path, now)):
            pin = self._pin(path, now)
        if pin.uid != uid:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return pin.handle

    def forget(self, path: str) -> None:
        """Let go of a pin: nobody listens there any more."""
        pin = self._pins.pop(path, None)
        if pin is not None:
            os.close(pin.descriptor)

    def close(self) -> None:
        """Let go of everything."""
        for path in list(self._pins):
            self.forget(path)
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _stands(self, pin: _Pin, path: str, now: float) -> bool:
        """Look again; where the name leads elsewhere, or to another user's, the pin is let go."""
        with suppress(OSError):
            status = os.lstat(path)
            if (status.st_dev, status.st_ino) == pin.identity and status.st_uid == pin.uid:
                pin.seen = now
                return True
        self.forget(path)
        return False

    def _pin(self, path: str, now: float) -> _Pin:
        if len(self._pins) >= _KEPT:
            self.forget(next(iter(self._pins)))
        descriptor = self._open(path)
        if descriptor >= self._ceiling:
            self.close()
        status = os.fstat(descriptor)
        handle, identity = f"/proc/self/fd/{descriptor}", (status.st_dev, status.st_ino)
        pin = self._pins[path] = _Pin(descriptor, handle, identity, status.st_uid, now)
        if self._sweep is None:
            self._sweep = self._loop.call_later(_IDLE, self._let_go)
        return pin

    def _open(self, path: str) -> int:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE} or not self._pins:
                raise
            self.close()
            descriptor = os.open(path, flags)
        return descriptor

    def _let_go(self) -> None:
        due = time.monotonic() - _IDLE
        for path in [path for path, pin in self._pins.items() if pin.seen <= due]:
            self.forget(path)
        self._sweep = self._loop.call_later(_IDLE, self._let_go) if self._pins else None
