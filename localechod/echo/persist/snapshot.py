"""The snapshot that a restart passes to the next process: the data plane as plain values.

Descriptors are passed beside it, in the order of the connections here, endpoint by endpoint.
"""

from typing import TypeVar

import msgspec

from localechod.config import EndpointConfig
from localechod.errors import LocalechodError

# Incremented when a field below changes its meaning. A snapshot of another version is not read: its
# connections are closed, which their clients can see, and no byte is misread.
VERSION = 4
_MAGIC = b"localechod-state"

T = TypeVar("T")


class ConnectionSnapshot(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One connection between two processes of this program.

    Attributes:
        accepted_at, active_at: when it was accepted, and when it last read or wrote. Seconds of
            CLOCK_MONOTONIC, which continues across a restart of the service.
        pending: the bytes that were read of an incomplete message.
        unsent: the bytes of replies that are not sent yet.
        ending: the connection closes as soon as they are sent.
        skip: bytes still to come of a message whose beginning is lost, or NEXT_LINE.
        serial: of its crash slot, or 0.
        number: of a connection with faults, or 0; see fault_plan.py.
    """

    pid: int
    uid: int
    gid: int
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
    number: int = 0


class EndpointSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint: its configuration, its counters with those of its connections, and these."""

    config: EndpointConfig
    counters: dict[str, int]
    errors: dict[str, int]
    faults: dict[str, int] = {}
    connections: tuple[ConnectionSnapshot, ...] = ()


class ServiceSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The whole service.

    Attributes:
        started: when the service started, by CLOCK_MONOTONIC.
    """

    started: float
    endpoints: tuple[EndpointSnapshot, ...]


class SnapshotError(LocalechodError):
    """This is no snapshot of this version of the program."""


def encode(state: ServiceSnapshot) -> bytes:
    """Return the snapshot as bytes."""
    return _MAGIC + VERSION.to_bytes(4, "big") + msgspec.msgpack.encode(state)


def decode(data: bytes) -> ServiceSnapshot:
    """Return the snapshot that these bytes are.

    Raises:
        SnapshotError: another version wrote it, or it is no snapshot.
    """
    head = len(_MAGIC) + 4
    if data[: len(_MAGIC)] != _MAGIC:
        raise SnapshotError("the stored state is not of localechod", "connections are closed")
    version = int.from_bytes(data[len(_MAGIC) : head], "big")
    if version != VERSION:
        raise SnapshotError(
            f"the stored state is of version {version}, and this program reads {VERSION}",
            "connections are closed",
        )
    try:
        return msgspec.msgpack.decode(data[head:], type=ServiceSnapshot)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"the stored state cannot be read: {error}") from error
