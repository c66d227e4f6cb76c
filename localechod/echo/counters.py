"""What an endpoint counts. The names become metrics, so they are part of the contract."""

from collections import Counter
from collections.abc import Mapping


class Counters:
    """Totals since the service started; they outlive a stop and a reload of the endpoint."""

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
