"""The one place of all log lines that a peer can cause: a client, a sender, or a caller.

Lines about the service itself, and about what administrators have it do, do not come here: peers
cannot cause them, and none of them may be left out.
"""

import logging
import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from localechod.echo.ratelimit import LineLimit
from localechod.limits import LOG_PAUSE

log = logging.getLogger("localechod.peers")

# The uid of lines that no one user has caused, or whose user is not known.
NOBODY = -1


class Topic(Struct, frozen=True, kw_only=True):
    """What lines have in common.

    Attributes:
        name: lines that are left out are counted by this name and by user.
        level: of the logging package.
        prefix: put before the text.
        pause: seconds between two lines about the same user, at least.
    """

    name: str
    level: int = logging.WARNING
    prefix: str = ""
    pause: float = LOG_PAUSE


class PeerLog:
    """Writes lines, as many as LineLimit allows; the service has one."""

    def __init__(self) -> None:
        self._limit = LineLimit()

    @property
    def left_out(self) -> int:
        """How many lines were left out."""
        return self._limit.left_out

    def write(
        self,
        topic: Topic,
        uid: int,
        text: Callable[[], str],
        fields: Mapping[str, object] | None = None,
        error: BaseException | None = None,
    ) -> str | None:
        """Write a line, and return its text without the prefix; or leave it out, and return None.

        Args:
            topic: what it is about.
            uid: the user who has caused it.
            text: returns the text; called only for a line that is written.
            fields: for the journal.
            error: an exception whose traceback is written below.
        """
        more = self._limit.note(topic.name, uid, topic.pause, time.monotonic())
        if more is None:
            return None
        said = text() + more
        extra = {"fields": dict(fields or {})}
        log.log(topic.level, "%s%s", topic.prefix, said, exc_info=error, extra=extra, stacklevel=2)
        return said

    def leave_out(self, topic: Topic, uid: int, count: int) -> None:
        """Leave so many lines out that would follow at once upon one that was left out."""
        self._limit.leave_out(topic.name, uid, count, time.monotonic())
