"""What alice has seen."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

ECHOES = {"stream", "seqpacket", "path", "name"}  # requests to endpoints
STATUS = "status"  # and to the control socket


class Answer(NamedTuple):
    """One of alice's requests: when (monotonic), what, how many seconds, what was wrong or "".

    Those for a status have the seconds of their phases: "connect" (of a new connection; connect(2)
    waits where the backlog is full), "accept" (until its first byte), "answer".
    """

    at: float
    what: str
    seconds: float
    failure: str
    phases: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Answers:
    """Some of alice's requests.

    Attributes:
        times: how long they took, from the shortest on.
        failures: what was wrong.
        slowest: the seconds of each phase of the one that took longest.
    """

    times: Sequence[float]
    failures: Sequence[str]
    slowest: Mapping[str, float]

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
        slowest = max(chosen, key=lambda row: row.seconds).phases if chosen else {}
        return cls(sorted(row.seconds for row in chosen), failures, slowest)

    def share(self, part: float) -> float:
        """Return the seconds in which this part of the answers came."""
        return self.times[int(part * (len(self.times) - 1))] if self.times else 0.0


def read(text: str) -> list[Answer]:
    """Return the requests in alice's result."""
    return [Answer(*row) for row in json.loads(text)]
