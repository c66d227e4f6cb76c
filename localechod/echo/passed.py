"""Descriptors that clients pass with their messages (SCM_RIGHTS; unix(7)).

Only endpoints that say so receive any: `echo_descriptors`, `reply = "identity"`. They are closed as
soon as the message is answered, in threads: close(2) takes as long as a file system (FUSE) or the
other end (SO_LINGER) wants, and the client chooses both. Each user has a thread of their own, so
that one who blocks it delays nobody else's. There are four at most: while four block, further users
get no descriptors.
"""

import os
import socket
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

from localechod.limits import (
    PASSED,
    PASSED_CLOSING,
    PASSED_THREADS,
    PASSED_UNREAD,
    PASSED_UNREAD_PER_USER,
)
from localechod.localsocket.closing import has_unread

# Space for that many descriptors in control data.
_SPACE = socket.CMSG_SPACE(4 * PASSED)

Ancillary = Iterable[tuple[int, int, bytes]]


class PassedDescriptors:
    """Decides whether descriptors may be received, and closes them; the service has one.

    The kernel counts those that were sent back and not received yet as the service's, up to its
    limit of descriptors. They are limited here by user, and in all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By user: what the user's thread has not closed yet.
        self._closing: dict[int, deque[int]] = {}
        # By user: how many were sent back on each socket since its receivers had read everything.
        self._unread: dict[int, dict[int, int]] = {}

    def space(self, uid: int) -> int:
        """Return the bytes of control data to receive a user's descriptors with; 0: none."""
        closing = self._closing.get(uid)
        if len(closing or ()) > PASSED_CLOSING or (
            closing is None and len(self._closing) >= PASSED_THREADS
        ):
            return 0
        return _SPACE if self._may_send_back(uid) else 0

    def sent_back(self, uid: int, sock: int, count: int) -> None:
        """Note that so many were sent on a socket to a user."""
        own = self._unread.setdefault(uid, {})
        own[sock] = own.get(sock, 0) + count

    def forget(self, sock: int) -> None:
        """Note that a socket will be closed, or that its receivers have read everything."""
        for uid, own in list(self._unread.items()):
            if own.pop(sock, 0) and not own:
                del self._unread[uid]

    def close(self, uid: int, descriptors: Sequence[int]) -> None:
        """Close descriptors that this user has passed, without waiting for it."""
        with self._lock:
            queue = self._closing.get(uid)
            if queue is not None:
                queue.extend(descriptors)
                return
            queue = self._closing[uid] = deque(descriptors)
        thread = threading.Thread(target=self._close_all, args=(uid, queue), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no memory for another thread: here, and slowly at worst
            self._close_all(uid, queue)

    def _close_all(self, uid: int, queue: deque[int]) -> None:
        while True:
            with self._lock:
                if not queue:
                    del self._closing[uid]
                    return
                descriptor = queue.popleft()
            with suppress(OSError):  # EIO and the like: it is closed in any case
                os.close(descriptor)

    def _may_send_back(self, uid: int) -> bool:
        for user, most in ((uid, PASSED_UNREAD_PER_USER), (None, PASSED_UNREAD)):
            if self._count(user) + PASSED > most:
                self._refresh()
                if self._count(user) + PASSED > most:
                    return False
        return True

    def _count(self, uid: int | None) -> int:
        users = self._unread.values() if uid is None else [self._unread.get(uid, {})]
        return sum(sum(own.values()) for own in users)

    def _refresh(self) -> None:
        for sock in {sock for own in self._unread.values() for sock in own}:
            if not has_unread(sock):
                self.forget(sock)
