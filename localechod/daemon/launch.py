"""What the start has found out and done, for the service that goes on with it."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localechod.config import Config
from localechod.echo.binding import Opened, Owner
from localechod.echo.persist.crash_slots import Slots
from localechod.echo.persist.snapshot import EndpointSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """All of it was there before there was a loop.

    Attributes:
        file: the configuration file, read again by a reload; None: the built-in default.
        directory: the runtime directory.
        owner: who owns the sockets, and serves.
        opened: sockets that were lent or kept, or bound as root.
        control: descriptors of the control socket that were kept.
        started: when the service started, by time.monotonic(); a restart does not change it.
        states: the endpoints as the process before this one left them.
        sockets: the connections that belong to `states`.
        slots: where connections leave word for the process after this one.
        remark: what is wrong with the configuration file, or "".
        dropped: whether root was given up on the way here.
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
