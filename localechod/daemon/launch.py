"""The result of start-up, for the service."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from localechod.config import Config
from localechod.echo.binding import Opened, Owner
from localechod.echo.persist.crash_slots import Slots
from localechod.echo.persist.snapshot import EndpointSnapshot


class Launch(Struct, frozen=True, kw_only=True):
    """Everything that start-up has read, opened and bound, before there is an event loop.

    Attributes:
        file: the configuration file, read again by a reload; None: the built-in default.
        directory: the runtime directory.
        owner: owner of the sockets: the account that serves.
        opened: sockets that systemd has passed, that were stored, or that were bound as root.
        control: stored descriptors of the control socket.
        started: when the service started, by time.monotonic(); a restart does not change it.
        states: the endpoints as the process before this one has left them.
        sockets: the connections that belong to `states`.
        slots: crash-recovery slots of the connections, in shared memory.
        remark: what is wrong with the configuration file, or "".
        dropped: whether root was given up.
    """

    file: Path | None
    directory: Path
    config: Config
    owner: Owner
    opened: Mapping[str, Opened]
    control: Sequence[int]
    started: float
    states: Sequence[EndpointSnapshot]
    sockets: Sequence[socket.socket]
    slots: Slots
    remark: str
    dropped: bool
