"""The faults of a relay: which there are, its numbers, and what it has done.

The keys and the decisions are those of an endpoint's `faults`. A message is what the relay reads
from the server at once: a record, a datagram, or the bytes of a stream that have come by then.
"""

import socket
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from localechod.config.faults import Faults
from localechod.config.rules import read_faults
from localechod.errors import UsageError
from localechod.localsocket.types import TYPE_NAMES
from localechod.tap.direction import Direction, Owner, Watcher
from localechod.tap.faulty import FaultyReplies, FaultyRequests
from localechod.text import escape

_SERVERS = dict.fromkeys(
    ("never_accept", "die_after"), "the listener is the server's, and not the relay's"
)


def read(settings: Sequence[str], type_: int) -> Faults:
    """Return the faults that a command line gives.

    Args:
        settings: each is KEY=VALUE.
        type_: of the server's socket, a socket.SOCK_*.

    Raises:
        UsageError: a key is unknown or does not fit a relay or the type, or its value is wrong.
    """
    given = dict(map(_setting, settings))
    for key in given:
        if key in _SERVERS:
            raise UsageError(f"--fault {key}: not for a relay: {_SERVERS[key]}")
    return read_faults(given, TYPE_NAMES[type_], "--fault ")


def _setting(text: str) -> tuple[str, object]:
    key, _, value = text.partition("=")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"--fault {escape(text)}: must be KEY=VALUE", "a value is a number, true or false"
        ) from error


class RelayFaults:
    """Numbers connections and messages, makes the ways of a relay, and counts the faults done.

    Attributes:
        settings: the faults.
    """

    def __init__(self, settings: Faults) -> None:
        self.settings = settings
        self._connections = count(1)
        self._datagrams = count(1)
        self._done: Counter[str] = Counter()

    def directions(
        self, client: socket.socket, server: socket.socket, watcher: Watcher, owner: Owner
    ) -> tuple[Direction, Direction]:
        """See direction.Directions."""
        return (
            FaultyRequests(client, server, watcher, owner, self),
            FaultyReplies(server, client, watcher, owner, self),
        )

    def numbers(self, type_: int) -> tuple[int, Iterator[int]]:
        """Return the number of a new connection, and those of its messages; see fault_plan.py."""
        if type_ == socket.SOCK_DGRAM:
            return 0, self._datagrams
        return next(self._connections), count(1)

    def done(self, faults: Iterable[str]) -> None:
        """Count faults."""
        self._done.update(faults)

    def __str__(self) -> str:
        return ", ".join(f"{key} {times}" for key, times in sorted(self._done.items())) or "none"
