"""The counters of an endpoint. Their names become metrics, so they are a public interface."""

from collections import Counter
from collections.abc import Mapping

from localechod.echo.fastpath import Totals

_NAMES = ("accepted", "messages", "received_bytes", "restarts", "sent_bytes")


class Counters(Totals):
    """Totals since the service started; a stop or reload of the endpoint does not reset them.

    They are current at any time: a connection counts here as well as for itself.

    Attributes:
        faults: how often each was done on purpose, by its key in the configuration.
    """

    __slots__ = ("accepted", "errors", "faults", "restarts")

    def __init__(self) -> None:
        super().__init__()
        self.accepted = 0
        self.restarts = 0
        self.errors: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def freeze(self) -> dict[str, int]:
        """Return the totals by name, without errors and faults."""
        return {name: getattr(self, name) for name in _NAMES}

    def thaw(
        self, totals: Mapping[str, int], errors: Mapping[str, int], faults: Mapping[str, int]
    ) -> None:
        """Continue from these totals."""
        for name, total in totals.items():
            setattr(self, name, total)
        self.errors.update(errors)
        self.faults.update(faults)
