"""What is measured: one line for each scenario, with its yardstick and its rivals."""

from dataclasses import dataclass, field

from benchmarks.servers import Settings

OURS = "localechod"
RIVALS = ("uvloop Protocol", "asyncio Protocol")
OTHERS = ("socat PIPE", "ncat cat", "s6-ipcserver cat")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load, and who bears it.

    Attributes:
        name: how the table calls it.
        kind: the socket's type.
        program: of the load, "load" or "visit".
        arguments: for it, between its path and its seconds.
        yardstick: the server that the others are compared with.
        others: who is compared with it, beside ourselves.
        settings: ours.
    """

    name: str
    kind: str
    arguments: tuple[int, ...]
    program: str = "load"
    yardstick: str = "C epoll"
    others: tuple[str, ...] = ()
    settings: Settings = field(default_factory=Settings)


_RAW = 'framing = "chunk"'
_LINE = 'framing = "line"'


def _stream(name: str, *arguments: int, framing: str = _RAW, **others: object) -> Scenario:
    return Scenario(f"{name}", "stream", arguments, settings=Settings(endpoint=framing), **others)  # type: ignore[arg-type]


# CLIENTS, SIZE, IN_FLIGHT.
SCENARIOS = (
    _stream("raw stream, 32 connections x 64 B", 32, 64, 1, others=RIVALS + OTHERS),
    _stream("raw stream, 1000 x 64 B", 1000, 64, 1, others=RIVALS),
    _stream("raw stream, 32 x 64 KiB", 32, 65536, 1, others=RIVALS),
    _stream("raw stream, 1 x 64 B", 1, 64, 1, others=RIVALS),
    _stream("line, 32 x 64 B, one in flight", 32, 64, 1, framing=_LINE),
    _stream("line, 32 x 64 B, 32 in flight", 32, 64, 32, framing=_LINE),
    Scenario("seqpacket, 32 x 64 B", "seqpacket", (32, 64, 1)),
    Scenario("datagram, 1 client", "datagram", (1, 64, 1), yardstick="C recvfrom"),
    Scenario("datagram, 4 clients", "datagram", (4, 64, 1), yardstick="C recvfrom"),
    Scenario(
        "datagram, 32 clients",
        "datagram",
        (32, 64, 1),
        yardstick="C recvfrom",
        others=("C recvmmsg",),
    ),
    _stream("connect, one echo, close; 1 at a time", 1, program="visit", others=RIVALS),
    _stream("connect, one echo, close; 16 at a time", 16, program="visit", others=RIVALS),
)
