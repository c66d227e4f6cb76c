"""The counters of an endpoint. Their names become metrics, so they are a public interface."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol


class Counting(Protocol):
    """A connection, which counts its own messages and bytes."""

    @property
    def messages(self) -> int:
        """How many messages it has answered."""
        ...

    @property
    def received(self) -> int:
        """How many bytes it has read."""
        ...

    @property
    def sent(self) -> int:
        """How many bytes it has written."""
        ...


class Counters:
    """Totals since the service started; a stop or reload of the endpoint does not reset them.

    The messages and bytes of a connection are added when it has closed.
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
        """Return the totals by name, without the errors."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "errors"}

    def thaw(self, totals: Mapping[str, int], errors: Mapping[str, int]) -> None:
        """Continue from these totals."""
        for name, total in totals.items():
            setattr(self, name, total)
        self.errors.update(errors)

    def add(self, connection: Counting) -> None:
        """Add the messages and bytes of a connection."""
        self.messages += connection.messages
        self.received_bytes += connection.received
        self.sent_bytes += connection.sent

    def copy(self) -> "Counters":
        """Return an independent copy."""
        copied = Counters()
        copied.thaw(self.freeze(), self.errors)
        return copied
