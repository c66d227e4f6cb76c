"""The share of each child of a poller: its time in a turn, and whether it is busy."""

from localechod.echo.portable.table import Table

# Microseconds of one turn, for one child: an endpoint whose clients send what takes long to answer
# delays those of others by no more than this, and one event.
CHILD_TIME = 1000


class Share:
    """The time that one child takes; that of the root is not counted.

    Args:
        table: has the number of the current turn.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._turn = 0  # the latest one in which it was served
        self._spent = self._last = self._before = 0.0  # seconds: of that turn, and of two earlier

    def has_time(self) -> bool:
        """Return whether some of its time in the current turn is left."""
        return self._turn != self._table.turn or self._spent < CHILD_TIME / 1e6

    def is_busy(self) -> bool:
        """Return whether it took half of its time or more in its last two turns before this one.

        In two, because the scheduler may stop this process in one turn of any child.
        """
        is_in_turn = self._turn == self._table.turn
        earlier = (self._last, self._before) if is_in_turn else (self._spent, self._last)
        return min(earlier) >= CHILD_TIME / 2e6

    def spend(self, seconds: float) -> None:
        """Count time of the current turn."""
        if self._turn != self._table.turn:
            self._before, self._last, self._spent = self._last, self._spent, 0.0
            self._turn = self._table.turn
        self._spent += seconds
