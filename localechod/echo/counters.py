"""What an endpoint counts. The names become metrics, so they are part of the contract."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol


class Counting(Protocol):
    """A connection: it counts for itself, or every message would be counted twice."""

    @property
    def messages(self) -> int:
        """How many it has answered."""
        ...

    @property
    def received(self) -> int:
        """Bytes that it has read."""
        ...

    @property
    def sent(self) -> int:
        """Bytes that it has written."""
        ...


class Counters:
    """Totals since the service started; they outlive a stop and a reload of the endpoint.

    What a connection does is added when it has left.
    """

    __slots__ = ("accepted", "errors", "messages", "received_bytes", "restarts", "sent_bytes")

    def __init__(self) -> None:
        self.accepted = 0
        self.messages = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.restarts = 0
        self.errors: Counter[str] = Counter()

    def freeze(self) -> dict[str, int]:
        """Return the totals by name, but for the errors."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "errors"}

    def thaw(self, totals: Mapping[str, int], errors: Mapping[str, int]) -> None:
        """Go on counting from these totals."""
        for name, total in totals.items():
            setattr(self, name, total)
        self.errors.update(errors)

    def add(self, connection: Counting) -> None:
        """Add what a connection has done."""
        self.messages += connection.messages
        self.received_bytes += connection.received
        self.sent_bytes += connection.sent

    def copy(self) -> "Counters":
        """Return the same totals, to go on with by themselves."""
        copied = Counters()
        copied.thaw(self.freeze(), self.errors)
        return copied
