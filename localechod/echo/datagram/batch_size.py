"""The batch size of a datagram endpoint: how many datagrams are read by one system call.

Where many datagrams wait, a batch of them costs less for each. Where few do, a batch delays the
first reply, and so the next message of its receiver: with four clients it halves the rate of a
plain C server. No system call tells how many datagrams wait, so a batch is tried, at first after
one full turn. After each trial that finds few, the next one comes twice as late.
"""

# Datagrams answered in one turn, so that a flood delays no other reply for long.
TURN = 32

# Datagrams in a turn of batches from which many wait; _fastpath_datagrams.c has the same quarter.
MANY = TURN // 4

# Full turns before a trial, at most. Where many clients follow a few, so many turns go on one by
# one: 2,048 datagrams, some 8 ms.
_LONGEST_PAUSE = 64


class BatchSize:
    """Decides the size for the next turn by what the last ones found.

    Attributes:
        now: how many datagrams the next turn reads by one system call: 1, or TURN.
    """

    def __init__(self) -> None:
        self.now = 1
        self._pause = 1
        self._full = 0  # turns since the last trial

    def after(self, count: int) -> None:
        """Note that a turn has ended that answered so many datagrams."""
        if self.now > 1:
            if count >= MANY:
                self._pause = 1
            else:
                self.now = 1
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        elif count >= TURN:
            self._full += 1
            if self._full >= self._pause:
                self.now = TURN
                self._full = 0

    def after_proofs(self, *, has_listed: bool) -> None:
        """Note that a turn has ended whose proofs took long.

        Args:
            has_listed: whether one list proved all senders of a batch; other proofs are for one
                sender each.
        """
        self.now = TURN if has_listed else 1
