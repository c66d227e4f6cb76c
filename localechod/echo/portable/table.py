"""The registered descriptors of a poller and its children: one table, in the root."""

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from localechod.echo.portable.poller import Poller


class Handler(Protocol):
    """What serves a descriptor."""

    def serve(self, events: int, /) -> int | None:
        """Serve a descriptor that is ready.

        Args:
            events: those that are ready; epoll_ctl(2).

        Returns:
            For how many events this counts; None: one.
        """
        ...

    def failed(self, error: Exception, /) -> None:
        """End what `serve` could not serve because of a defect; called with what it has raised."""
        ...


@dataclass(slots=True)
class Entry:
    """A registered descriptor.

    Attributes:
        handler: None for a foreign descriptor.
        owner: where it was registered.
        events: that are waited for.
        direct: whether it is in the epoll of the root.
        is_child: whether it is the epoll of a child, which is its handler.
    """

    handler: "Handler | Poller | None"
    owner: "Poller"
    events: int
    direct: bool
    is_child: bool

    @property
    def of_child(self) -> bool:
        """Whether it is in the root's epoll, and belongs to a child."""
        return self.direct or self.is_child

    @property
    def payer(self) -> "Poller":
        """Whose time its events take."""
        return cast("Poller", self.handler) if self.is_child else self.owner


class Table:
    """What a poller and its children share: all descriptors.

    Attributes:
        entries: by descriptor.
        turn: the number of the current turn.
        now: time.monotonic() at its beginning.
        foreign: the events of foreign descriptors that are to be returned, by descriptor.
        waiting: these descriptors, oldest first; some may have been unregistered meanwhile.
        interrupted: whether `wait` is to end.
        paused: whether what belongs to children is not in the epoll of the root.
    """

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.turn = 0
        self.now = time.monotonic()
        self.foreign: dict[int, int] = {}
        self.waiting: deque[int] = deque()
        self.interrupted = False
        self.paused = False
