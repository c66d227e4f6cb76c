"""When an endpoint that failed is tried again: after which event, or how long a wait."""

import enum
import errno
import random
from collections.abc import Callable

from localechod.errors import LocalechodError, SocketError

# Seconds.
_FIRST = 1.0
_CAP = 60.0


class RetryOn(enum.Enum):
    """What triggers the next attempt. A start by hand and a reload always do."""

    EVENT = "a change of the directories, which inotify reports"
    OPERATOR = "a change that only a person makes, who then starts or reloads"
    TIMER = "a timer: no event reports the change"


# An error that is not here is tried again on the timer: an attempt a minute costs nothing, and an
# endpoint that stays down after an unforeseen error costs the service.
RETRY_ON: dict[int, RetryOn] = {
    errno.ENOENT: RetryOn.EVENT,
    errno.ENOTDIR: RetryOn.EVENT,
    errno.EACCES: RetryOn.EVENT,
    errno.ELOOP: RetryOn.EVENT,
    errno.EPERM: RetryOn.OPERATOR,  # an owner that this process may not set, or a security module
    errno.EROFS: RetryOn.OPERATOR,  # mount -o remount,rw or ReadWritePaths=
    errno.EINVAL: RetryOn.OPERATOR,
    errno.ENAMETOOLONG: RetryOn.OPERATOR,
    errno.EADDRINUSE: RetryOn.TIMER,  # the process that has it may end without removing the file
    errno.EMFILE: RetryOn.TIMER,
    errno.ENFILE: RetryOn.TIMER,
    errno.ENOBUFS: RetryOn.TIMER,
    errno.ENOMEM: RetryOn.TIMER,
    errno.ENOSPC: RetryOn.TIMER,
    errno.EDQUOT: RetryOn.TIMER,
}


def retry_on(error: LocalechodError, *, watched: bool) -> RetryOn:
    """Return what triggers the next attempt to bind an endpoint.

    Args:
        error: of the last attempt.
        watched: whether inotify reports every change of its path; if not, EVENT becomes TIMER.
    """
    if not isinstance(error, SocketError):
        return RetryOn.OPERATOR  # an owner without an account
    found = RETRY_ON.get(error.errno, RetryOn.TIMER)
    return RetryOn.TIMER if found is RetryOn.EVENT and not watched else found


def _half_to_whole() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311 - it spreads attempts, and protects nothing


class Backoff:
    """Seconds to wait before each attempt of a series: doubled each time, capped, with jitter.

    The jitter keeps endpoints that failed together from being tried together each time.

    Args:
        free: attempts without a wait.
        jitter: returns the factor of a wait, at most 1.
    """

    def __init__(self, free: int = 0, jitter: Callable[[], float] | None = None) -> None:
        self._free = free
        self._jitter = jitter or _half_to_whole
        self._attempts = 0
        self._latest = 0.0

    def wait(self, now: float) -> float:
        """Return the wait before the next attempt; after 120 s without any a new series begins.

        Args:
            now: seconds of a monotonic clock.
        """
        if now - self._latest > 2 * _CAP:
            self._attempts = 0
        self._latest = now
        self._attempts += 1
        doublings = self._attempts - self._free - 1
        if doublings < 0:
            return 0.0
        return min(_CAP, _FIRST * 2.0 ** min(doublings, 10)) * self._jitter()
