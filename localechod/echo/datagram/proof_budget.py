"""The time that lists and long look-ups of paths may take: a share for each user, at all endpoints.

The more sockets the host has, the longer a list takes (docs/design.md has figures), and a user can
have any number of names. So a list takes of the time of the user whose datagram causes it. So does
a look-up of a path that takes long (pinned_senders.py).
"""

from msgspec import Struct

from localechod.echo.ratelimit import table_key

# Seconds of both that a user may cause at once, and in each second.
_MOST = 0.5
_SHARE = 0.25


class _Account(Struct):
    left: float
    at: float

    def refill(self, now: float) -> None:
        self.left = min(self.left + _SHARE * (now - self.at), _MOST)
        self.at = now


class ProofBudget:
    """What each user has left.

    Attributes:
        ours: the names of all datagram endpoints. None of them is ever answered: a datagram from
            there is one that we have sent, or its sender has the same name elsewhere.
    """

    def __init__(self) -> None:
        self.ours: set[str | bytes] = set()
        self._accounts: dict[int | None, _Account] = {}

    def allows(self, uid: int, now: float) -> bool:
        """Return whether a user may cause a list or a look-up.

        Args:
            uid: the user.
            now: monotonic seconds.
        """
        return self._account(uid, now).left > 0

    def take(self, uid: int, seconds: float, now: float) -> None:
        """Take the time of a list or a look-up from a user; the last one may take more."""
        self._account(uid, now).left -= seconds

    def _account(self, uid: int, now: float) -> _Account:
        # An account that is full again makes no difference.
        key = table_key(self._accounts, uid, lambda each: now - each.at >= 2 * _MOST / _SHARE)
        account = self._accounts.setdefault(key, _Account(_MOST, now))
        account.refill(now)
        return account
