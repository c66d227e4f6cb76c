"""What a restart carries over: the data plane as plain values, to be written down and read again.

Descriptors travel beside it; their order is that of the connections here, endpoint by endpoint.
"""

from typing import TypeVar

import msgspec

from localechod.config import EndpointConfig
from localechod.errors import LocalechodError

# Raised whenever a field below changes its meaning. State of another version is not read: the
# connections it describes are closed, which their clients can see, and nothing is misread.
VERSION = 2
_MAGIC = b"localechod-state"

T = TypeVar("T")


class ConnectionSnapshot(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One connection between two processes of this program.

    Attributes:
        accepted_at, active_at: when it was accepted, and when it last read or wrote. Seconds of
            CLOCK_MONOTONIC, which continues across a restart of the service.
        pending: what was read of a message that is not complete.
        unsent: what is left of replies that the peer has not taken yet.
        ending: it closes as soon as that is sent.
        skip: bytes still to come of a message whose beginning is lost, or slots.NEXT_LINE.
        serial: what it is kept under for a crash, or 0.
    """

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...]
    accepted_at: float
    active_at: float
    messages: int
    received: int
    sent: int
    pending: bytes = b""
    unsent: bytes | None = None
    ending: bool = False
    skip: int = 0
    serial: int = 0


class EndpointSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint: what it was told to be, what it has counted, and who is connected."""

    config: EndpointConfig
    counters: dict[str, int]
    errors: dict[str, int]
    connections: tuple[ConnectionSnapshot, ...] = ()


class ServiceSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The whole service.

    Attributes:
        started: when the service started, by CLOCK_MONOTONIC.
    """

    started: float
    endpoints: tuple[EndpointSnapshot, ...]


class SnapshotError(LocalechodError):
    """This is not the state of this version of the program."""


def encode(state: ServiceSnapshot) -> bytes:
    """Write the state down."""
    return _MAGIC + VERSION.to_bytes(4, "big") + msgspec.msgpack.encode(state)


def decode(data: bytes) -> ServiceSnapshot:
    """Read the state.

    Raises:
        SnapshotError: it was written by another version, or is no state at all.
    """
    head = len(_MAGIC) + 4
    if data[: len(_MAGIC)] != _MAGIC:
        raise SnapshotError("what was stored is no state of localechod", "connections start anew")
    version = int.from_bytes(data[len(_MAGIC) : head], "big")
    if version != VERSION:
        raise SnapshotError(
            f"the stored state is of version {version}, and this program reads {VERSION}",
            "connections start anew",
        )
    try:
        return msgspec.msgpack.decode(data[head:], type=ServiceSnapshot)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"the stored state cannot be read: {error}") from error
