"""When what failed is tried again: what can cure each cause, and how long to wait in between."""

import enum
import errno
import random
from collections.abc import Callable

from localechod.errors import LocalechodError, SocketError

# Seconds.
_FIRST = 1.0
_CAP = 60.0


class RetryOn(enum.Enum):
    """What makes another attempt worth it. A start by hand and a reload always do."""

    EVENT = "a change of the directories, which inotify tells"
    OPERATOR = "a change that only a person makes, and then starts or reloads"
    TIMER = "nothing that anybody tells"


# A cause that is not here is taken as passing: an attempt a minute costs nothing, and not to come
# back by itself from something unforeseen costs the service.
RETRY_ON: dict[int, RetryOn] = {
    errno.ENOENT: RetryOn.EVENT,
    errno.ENOTDIR: RetryOn.EVENT,
    errno.EACCES: RetryOn.EVENT,
    errno.ELOOP: RetryOn.EVENT,
    errno.EPERM: RetryOn.OPERATOR,  # an owner that we may not give, a security module
    errno.EROFS: RetryOn.OPERATOR,  # mount -o remount,rw or ReadWritePaths=
    errno.EINVAL: RetryOn.OPERATOR,
    errno.ENAMETOOLONG: RetryOn.OPERATOR,
    errno.EADDRINUSE: RetryOn.TIMER,  # its owner may end without removing the file
    errno.EMFILE: RetryOn.TIMER,
    errno.ENFILE: RetryOn.TIMER,
    errno.ENOBUFS: RetryOn.TIMER,
    errno.ENOMEM: RetryOn.TIMER,
    errno.ENOSPC: RetryOn.TIMER,
    errno.EDQUOT: RetryOn.TIMER,
}


def retry_on(error: LocalechodError, *, watched: bool) -> RetryOn:
    """Say what may cure an endpoint.

    Args:
        error: what refused it.
        watched: whether events tell of everything that happens to its path; what they would have
            told is left to time otherwise.
    """
    if not isinstance(error, SocketError):
        return RetryOn.OPERATOR  # an owner without an account
    found = RETRY_ON.get(error.errno, RetryOn.TIMER)
    return RetryOn.TIMER if found is RetryOn.EVENT and not watched else found


def _half_to_whole() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311 - it spreads attempts, it guards nothing


class Backoff:
    """Seconds to wait before each of a row of attempts: doubled each time, capped, with jitter.

    The jitter keeps several endpoints that failed together from knocking together for ever.

    Args:
        free: attempts before there is any wait.
        jitter: what the wait is multiplied by, at most 1.
    """

    def __init__(self, free: int = 0, jitter: Callable[[], float] | None = None) -> None:
        self._free = free
        self._jitter = jitter or _half_to_whole
        self._attempts = 0
        self._latest = 0.0

    def wait(self, now: float) -> float:
        """Return the wait before the next attempt; two caps without any begin a new row.

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
