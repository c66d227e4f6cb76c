"""The table of situations: a row is a function that creates one, and the errno of connect(2)."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from tests.integration.stage import Asked, Stage

DGRAM, SEQPACKET, STREAM = socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM


@dataclass(frozen=True, slots=True)
class Situation:
    """One row of the table.

    Attributes:
        name: its name in the test's id.
        create: creates the situation, and returns the connect to make.
        number: the errno that connect(2) returns.
        unknowable: why the verdict of `explain` is unknown, or "".
    """

    name: str
    create: Callable[[Stage], Asked]
    number: int
    unknowable: str = ""


SITUATIONS: list[Situation] = []


def situation(
    number: int, unknowable: str = ""
) -> Callable[[Callable[[Stage], Asked]], Callable[[Stage], Asked]]:
    def enter(create: Callable[[Stage], Asked]) -> Callable[[Stage], Asked]:
        SITUATIONS.append(Situation(create.__name__, create, number, unknowable))
        return create

    return enter
