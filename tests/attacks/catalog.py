"""All attacks by name, with what they may cost."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from tests.attacks import control, datagrams, streams
from tests.attacks.aim import Aim
from tests.attacks.frames import PING, SETTINGS, UNKNOWN, WINDOW

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Attributes:
        run: does it.
        users: how many users do it at the same time.
        memory: bytes that the daemon may take more while it lasts: 32 MiB, or what it may keep
            for its clients (echo/stream/buffers.py) with some messages of LARGE besides.
    """

    run: Callable[[Aim], None]
    users: int = 1
    memory: int = 32 * MIB


_KEPT = (256 + 96) * MIB
_LINES = b"x\n" * 32768

ATTACKS = {
    # the control socket
    "reset": Attack(control.reset),
    "patient": Attack(control.patient),
    "users": Attack(control.reset, users=16),
    "ping": Attack(control.frames(PING, b"12345678")),
    "settings": Attack(control.frames(SETTINGS)),
    "window": Attack(control.frames(WINDOW, b"\0\0\0\1")),
    "data": Attack(control.empty_data),
    "continuation": Attack(control.continuation),
    "unknown": Attack(control.frames(UNKNOWN, b"x")),
    "connects": Attack(control.connects),
    "names": Attack(control.names),
    "statuses": Attack(control.statuses),
    "peers": Attack(control.peers),
    "slow": Attack(control.slow),
    "unread": Attack(control.unread),
    "subscribers": Attack(control.subscribers),
    "places": Attack(control.places, users=6),
    # the endpoints
    "storm": Attack(streams.connects),
    "tiny": Attack(streams.lines("stream", b"\n" * 20_000)),
    "huge": Attack(streams.lines("large", b"x" * (16 * MIB - 1) + b"\n"), memory=_KEPT),
    "bytes": Attack(streams.one_byte),
    "mute": Attack(streams.lines("stream", b"x" * 999 + b"\n", reads=False), memory=_KEPT),
    "empty": Attack(streams.empty),
    "descriptors": Attack(streams.descriptors),
    "lingering": Attack(streams.lingering),
    "out-of-band": Attack(streams.out_of_band),
    "keepers": Attack(streams.keepers, memory=_KEPT),
    "halves": Attack(streams.halves),
    "logged": Attack(streams.lines("logged", _LINES)),
    "records": Attack(streams.lines("sequence", b"x", kind=socket.SOCK_SEQPACKET)),
    "unnamed": Attack(datagrams.unnamed),
    "named": Attack(datagrams.named),
    "deaf": Attack(datagrams.unread),
    "swapped": Attack(datagrams.swapped),
    "tangled": Attack(datagrams.tangled),
    "foreign": Attack(datagrams.foreign),
}
