"""What an endpoint counts. The names become metrics, so they are part of the contract."""

from collections import Counter


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
