"""Endpoints with faults in a world, their settings, and clients that take whatever comes."""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from localechod.config.faults import FITS
from tests.fuzz.clients import KINDS
from tests.fuzz.world import World

TYPES = {"badline": "stream", "badsequence": "seqpacket", "baddatagram": "datagram"}
BAD = tuple(TYPES)

_COUNT = st.integers(0, 3)
_SHARE = st.sampled_from([0.0, 0.5, 1.0])
_SWITCH = st.sampled_from([False, False, True])
_WAIT = st.sampled_from([0.0, 0.001, 3600.0])
_FAULTS: Mapping[str, st.SearchStrategy[object]] = {
    **dict.fromkeys(("delay", "jitter"), _WAIT),
    **dict.fromkeys(("close_after", "reset_after", "die_after", "truncate"), _COUNT),
    **dict.fromkeys(("drop", "duplicate", "reorder", "corrupt"), _SHARE),
    **dict.fromkeys(("close_on_accept", "reset_on_accept", "never_accept"), _SWITCH),
    **dict.fromkeys(("never_read", "never_reply", "half_close"), _SWITCH),
    "seed": st.integers(0, 3),
}
_PIECES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"pieces": 1}, {"pieces": 1, "pause": 0.001}, {"pieces": 1, "pause": 3600}]
)

# Counted once for each connection in each life of the service.
ONCE = (
    "close_after",
    "reset_after",
    "close_on_accept",
    "reset_on_accept",
    "never_read",
    "half_close",
)


def _settings(
    drawn: tuple[str, dict[str, Any], dict[str, Any], bool],
) -> tuple[str, dict[str, Any]]:
    name, faults, pieces, identity = drawn
    kind = TYPES[name]
    faults = {key: value for key, value in faults.items() if kind in FITS.get(key, ([kind],))[0]}
    if kind == "stream":
        faults |= pieces
    if faults.get("half_close"):
        faults.pop("reset_after", None)  # these are refused together
    own: dict[str, Any] = {"faults": faults}
    if identity:
        own["reply"] = "identity"
        faults["refuse_descriptors"] = bool(faults.get("seed"))
    return name, own


# The name of an endpoint with faults, and its settings. At most four faults: with all of them
# nearly every connection ends at once.
bad_settings = st.tuples(
    st.sampled_from(BAD),
    st.dictionaries(st.sampled_from(sorted(_FAULTS)), st.none(), max_size=4).flatmap(
        lambda chosen: st.fixed_dictionaries({key: _FAULTS[key] for key in chosen})
    ),
    _PIECES,
    st.booleans(),
).map(_settings)


class Hostile:
    """A client of an endpoint with faults. Nothing that it does blocks, and nothing is expected."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.sock = socket.socket(socket.AF_UNIX, KINDS[TYPES[name]])
        self.sock.setblocking(False)
        if TYPES[name] == "datagram":
            self.sock.bind("")
        with suppress(OSError):
            self.sock.connect(world.endpoints[name].config.path)

    def act(self, what: str) -> None:
        """Do one of ACTIONS."""
        with suppress(OSError):
            ACTIONS[what](self.sock)


def _fill(sock: socket.socket) -> None:
    for _ in range(300):
        sock.send(b"x" * 1000 + b"\n")


ACTIONS: Mapping[str, Callable[[socket.socket], object]] = {
    "ask": lambda sock: sock.send(b"asked\n"),
    "begin": lambda sock: sock.send(b"begun"),
    "send ahead": lambda sock: [sock.send(b"ahead\n") for _ in range(9)],
    "send nothing": lambda sock: sock.send(b""),
    "pass": lambda sock: socket.send_fds(sock, [b"passed\n"], [0, 1]),
    "fill": _fill,
    "read": lambda sock: sock.recv(1 << 16),
    "half-close": lambda sock: sock.shutdown(socket.SHUT_WR),
}
