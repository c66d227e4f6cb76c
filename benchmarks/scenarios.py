"""The scenarios: for each, the load, the baseline and the other servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.servers import FORKING, PARSING, PURE, Settings

OURS = "localechod"
BEFORE = "localechod before"
RIVALS = ("asyncio Protocol",)
POLLING = f"{OURS}, busy_poll_us = "


def _both(endpoint: str = "") -> dict[str, Settings]:
    """Return localechod as it is installed, and in pure Python."""
    return {
        OURS: Settings(endpoint=endpoint),
        PURE: Settings(endpoint=endpoint, environment={"LOCALECHOD_PURE_PYTHON": "1"}),
    }


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load and the servers that are measured under it.

    Attributes:
        name: its name in tables.
        kind: the type of the socket.
        program: the load, "load" or "visit".
        arguments: for the load, between the path and the seconds.
        baseline: the server that the others are compared with.
        others: other servers to compare, beside localechod.
        ours: settings of localechod by its name in tables; several, to compare them.
        shared: whether the load runs on the server's core.
    """

    name: str
    kind: str
    arguments: tuple[int, ...]
    program: str = "load"
    baseline: str = "C epoll"
    others: tuple[str, ...] = ()
    ours: Mapping[str, Settings] = field(default_factory=_both)
    shared: bool = False


_RAW = 'framing = "chunk"'
_LINE = 'framing = "line"'


def _stream(name: str, *arguments: int, framing: str = _RAW, **others: object) -> Scenario:
    return Scenario(name, "stream", arguments, ours=_both(framing), **others)  # type: ignore[arg-type]


def _polling(name: str, *, shared: bool) -> Scenario:
    ours = {
        f"{POLLING}{microseconds}": Settings(f"busy_poll_us = {microseconds}", _RAW)
        for microseconds in (0, 50)
    }
    return Scenario(name, "stream", (1, 64, 1), ours=ours, shared=shared)


# CLIENTS, SIZE, IN_FLIGHT.
SCENARIOS = (
    _stream("raw stream, 32 connections x 64 B", 32, 64, 1, others=RIVALS + PARSING + FORKING),
    _stream("raw stream, 1000 x 64 B", 1000, 64, 1, others=RIVALS),
    _stream("raw stream, 32 x 64 KiB", 32, 65536, 1, others=RIVALS),
    _stream("raw stream, 1 x 64 B", 1, 64, 1, others=RIVALS),
    _stream("line, 32 x 64 B, one in flight", 32, 64, 1, framing=_LINE),
    _stream("line, 32 x 64 B, 32 in flight", 32, 64, 32, framing=_LINE),
    Scenario("seqpacket, 32 x 64 B", "seqpacket", (32, 64, 1)),
    Scenario("datagram, 1 client", "datagram", (1, 64, 1), baseline="C recvfrom"),
    Scenario("datagram, 4 clients", "datagram", (4, 64, 1), baseline="C recvfrom"),
    Scenario(
        "datagram, 32 clients",
        "datagram",
        (32, 64, 1),
        baseline="C recvfrom",
        others=("C recvmmsg",),
    ),
    _stream("connect, one echo, close; 1 at a time", 1, program="visit", others=RIVALS + PARSING),
    _stream("connect, one echo, close; 16 at a time", 16, program="visit", others=RIVALS + PARSING),
    _polling("polling, 1 x 64 B, a core for each", shared=False),
    _polling("polling, 1 x 64 B, one core for both", shared=True),
)


def before(name: str) -> str:
    """Return the name of the same server, with the same settings, from the other checkout."""
    return name.replace(OURS, BEFORE, 1)


def against(scenario: Scenario, checkout: Path) -> Scenario:
    """Return the scenario with the daemon of another checkout beside each compiled one."""
    others = {
        before(name): replace(settings, checkout=checkout)
        for name, settings in scenario.ours.items()
        if name != PURE
    }
    return replace(scenario, ours={**scenario.ours, **others})
