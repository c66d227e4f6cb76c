"""What alice has seen."""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

ECHOES = {"stream", "seqpacket", "path", "name"}  # requests to endpoints
STATUS = "status"  # and to the control socket


class Answer(NamedTuple):
    """One of alice's requests: when (monotonic), what, how many seconds, what was wrong or ""."""

    at: float
    what: str
    seconds: float
    failure: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Some of alice's requests: how long they took, from the shortest on, and what was wrong."""

    times: Sequence[float]
    failures: Sequence[str]

    @classmethod
    def of(
        cls,
        rows: Sequence[Answer],
        kinds: Collection[str],
        begin: float = 0.0,
        end: float = math.inf,
    ) -> "Answers":
        """Return those of some kinds, between two times."""
        chosen = [row for row in rows if row.what in kinds and begin <= row.at < end]
        failures = [f"{row.what}: {row.failure}" for row in chosen if row.failure]
        return cls(sorted(row.seconds for row in chosen), failures)

    def share(self, part: float) -> float:
        """Return the seconds in which this part of the answers came."""
        return self.times[int(part * (len(self.times) - 1))] if self.times else 0.0


def read(text: str) -> list[Answer]:
    """Return the requests in alice's result."""
    return [Answer(*row) for row in json.loads(text)]
