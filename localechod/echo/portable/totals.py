"""The totals of an endpoint, to which its connections add as they read and write."""


class Totals:
    """So a status needs no look at each connection.

    Attributes:
        messages: how many were answered.
        received_bytes, sent_bytes: read from clients, and written to them.
    """

    __slots__ = ("messages", "received_bytes", "sent_bytes")

    def __init__(self) -> None:
        self.messages = self.received_bytes = self.sent_bytes = 0
