"""How cost grows, as text, as tables and as pictures; and whether it is no faster than linear."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.curves import Line, Panel, picture
from benchmarks.measure import Figure
from benchmarks.page import shown, table
from benchmarks.results import Machine
from localechod.bench.quartiles import Quartiles

# A median of ratios this little above 1 is not told from 1 where others work on the same machine.
_NOISE = 0.03

# What is no more than this above linear growth, or above that of the server in C, is called linear:
# caches are smaller than memory, for everyone.
_CACHES = 1.1


@dataclass(slots=True)
class Step:
    """What was measured at one size.

    Attributes:
        name: whom of, or under which load.
        count: connections, or endpoints.
        figures: one for each round.
        memory_kib: resident, with so many that say nothing.
    """

    name: str
    count: int
    figures: list[Figure] = field(default_factory=list)
    memory_kib: float = 0.0

    @property
    def rate(self) -> Quartiles:
        """Messages a second."""
        return Quartiles.of([figure.rate for figure in self.figures])

    @property
    def cost(self) -> Quartiles:
        """Microseconds of processor time for a message."""
        return Quartiles.of([figure.cost or 0.0 for figure in self.figures])

    @property
    def memory(self) -> Quartiles:
        """Resident MiB."""
        return Quartiles.of([self.memory_kib / 1024])


@dataclass(frozen=True, slots=True)
class Growth:
    """Steps of rising counts.

    Attributes:
        connections: of each server.
        quiet: by endpoints of which one is busy.
        busy: by endpoints over which the same connections are spread.
    """

    machine: Machine
    repeats: int
    seconds: float
    connections: list[Step]
    quiet: list[Step]
    busy: list[Step]

    def of(self, server: str) -> list[Step]:
        """Return a server's steps by connections."""
        return [step for step in self.connections if step.name == server]

    def __str__(self) -> str:
        return f"{self.repeats} rounds of {self.seconds:g} s; {self.machine}"


def quiet_words(steps: Sequence[Step]) -> str:
    """Return whether endpoints without traffic cost the others anything, and the figures."""
    alone, last = steps[0], steps[-1]
    rates, costs = (
        Quartiles.of_ratios(
            [get(each) for each in last.figures], [get(each) for each in alone.figures]
        )
        for get in (_rate, _cost)
    )
    nothing = costs.low <= 1 or costs.median <= 1 + _NOISE
    return (
        f"An endpoint without traffic costs the others {'nothing' if nothing else 'something'}: "
        f"beside {last.count - alone.count:,} of them a busy one gives {_brackets(rates)} of what "
        f"it gives alone, and a message takes {_brackets(costs)} of the processor time."
    )


def linear_words(growth: Growth) -> str:
    """Return whether anything grows faster than linearly, and how fast it does grow."""
    # From 10 on: a single connection is woken up for each message, which would flatter the rest.
    ours, yardstick = (growth.of(name)[1:] for name in ("localechod", "C epoll"))
    more = ours[-1].count / ours[0].count
    work, theirs = (more * each[-1].cost.median / each[0].cost.median for each in (ours, yardstick))
    spread = growth.busy[-1].cost.median / growth.busy[0].cost.median
    memory, room = (_each_more(steps) for steps in (ours, growth.busy))
    most = max(work / max(more, theirs), spread * growth.busy[0].count / growth.busy[-1].count)
    verdict = "Nothing grows" if most <= _CACHES else "Processor time grows"
    return (
        f"{verdict} faster than linearly: from {ours[0].count:,} to {ours[-1].count:,} connections "
        f"a message from each takes {work:,.0f} times the processor time (C: {theirs:,.0f} times; "
        f"linear: {more:,.0f} times), and each connection takes {memory:.2f} KiB. Quartiles over "
        f"{growth.busy[-1].count:,} endpoints instead of one, as many messages take {spread:.2f} "
        f"times the processor time; an endpoint takes {room:.2f} KiB."
    )


def told(growth: Growth) -> str:
    """Return the page for a terminal."""
    lines = []
    for title, steps in (
        ("connections, all busy", growth.connections),
        ("endpoints, 32 connections to one of them", growth.quiet),
        ("endpoints, 1,000 connections to all of them", growth.busy),
    ):
        lines += ["", f"{title:43}{'messages/s':>12}{'us':>8}{'MiB':>8}"]
        lines += [
            f"  {step.name:20}{step.count:>10,}{'':11}{step.rate.median:>12,.0f}"
            f"{step.cost.median:>8.2f}{step.memory.median:>8.1f}"
            for step in steps
        ]
    return "\n".join([*lines, "", quiet_words(growth.quiet), "", linear_words(growth), ""])


def written(growth: Growth) -> dict[str, str]:
    """Return the blocks of the page."""
    connections = [
        [
            f"{one.count:,}",
            *(f"{each.rate.median:,.0f}" for each in (one, two)),
            *(f"{each.cost.median:.1f}" for each in (one, two)),
            *(f"{each.memory.median:.1f}" for each in (one, two)),
        ]
        for one, two in zip(growth.of("C epoll"), growth.of("localechod"), strict=True)
    ]
    endpoints = [
        [
            f"{one.count:,}",
            *(f"{each.rate.median:,.0f}" for each in (one, two)),
            *(f"{each.cost.median:.1f}" for each in (one, two)),
            f"{one.memory.median:.1f}",
        ]
        for one, two in zip(growth.quiet, growth.busy, strict=True)
    ]
    by = "C", "localechod", "C, µs", "localechod, µs", "C, MiB", "localechod, MiB"
    per = "one busy", "all busy", "one busy, µs", "all busy, µs", "MiB"
    return {
        "connections": "\n\n".join(
            [
                shown("connections", "lines: messages a second, cost and memory by connections"),
                table(["connections", *by], connections),
                linear_words(growth),
                f"{growth}.",
            ]
        ),
        "endpoints": "\n\n".join(
            [
                shown("endpoints", "lines: messages a second, cost and memory by endpoints"),
                table(["endpoints", *per], endpoints),
                quiet_words(growth.quiet),
            ]
        ),
    }


def drawn(growth: Growth) -> dict[str, str]:
    """Return the pictures of the blocks."""
    servers = {"localechod": growth.of("localechod"), "C epoll": growth.of("C epoll")}
    loads = {"one is busy": growth.quiet, "all are busy": growth.busy}
    return {
        "connections": picture("By connections", "connections", _panels(servers, servers)),
        "endpoints": picture("By endpoints", "endpoints", _panels(loads, {"": growth.busy})),
    }


_Lines = Mapping[str, Sequence[Step]]
_TONES = {"localechod": "first", "C epoll": "third", "all are busy": "second"}


def _panels(lines: _Lines, idle: _Lines) -> list[Panel]:
    def panel(title: str, which: _Lines, get: Callable[[Step], Quartiles]) -> Panel:
        drawn = [
            Line(name, _TONES.get(name, "first"), [(step.count, get(step)) for step in steps])
            for name, steps in which.items()
        ]
        return Panel(title, drawn)

    return [
        panel("messages a second", lines, lambda step: step.rate),
        panel("µs of processor time for a message", lines, lambda step: step.cost),
        panel("MiB of memory, with nobody talking", idle, lambda step: step.memory),
    ]


def _rate(figure: Figure) -> float:
    return figure.rate


def _cost(figure: Figure) -> float:
    return figure.cost or 0.0


def _each_more(steps: Sequence[Step]) -> float:
    """Return what each takes beyond the first ones, in KiB."""
    return (steps[-1].memory_kib - steps[0].memory_kib) / (steps[-1].count - steps[0].count)


def _brackets(quartiles: Quartiles) -> str:
    return f"{quartiles.median:.2f} ({quartiles.low:.2f} - {quartiles.high:.2f})"
