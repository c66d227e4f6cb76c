"""How cost grows, as text, tables and pictures; and whether it grows faster than linearly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.curves import Line, Panel, picture
from benchmarks.measure import Sample
from benchmarks.page import image, table
from benchmarks.results import Machine
from localechod.bench.quartiles import Quartiles

# On a machine that is shared with other work, a median ratio of up to 1 + _NOISE may be 1.
_NOISE = 0.03

# Growth counts as linear up to this factor above linear growth, or above that of the C server: with
# more memory in use, caches miss more often in any server.
_CACHES = 1.1


@dataclass(slots=True)
class Step:
    """The measurements with one count of connections or endpoints.

    Attributes:
        name: the server or the load.
        count: the number of connections or endpoints.
        samples: one for each round.
        memory_kib: resident memory with so many idle ones.
    """

    name: str
    count: int
    samples: list[Sample] = field(default_factory=list)
    memory_kib: float = 0.0

    @property
    def rate(self) -> Quartiles:
        """Messages per second."""
        return Quartiles.of([sample.rate for sample in self.samples])

    @property
    def cost(self) -> Quartiles:
        """Microseconds of processor time for each message."""
        return Quartiles.of([sample.cost or 0.0 for sample in self.samples])

    @property
    def memory(self) -> Quartiles:
        """Resident memory in MiB."""
        return Quartiles.of([self.memory_kib / 1024])


@dataclass(frozen=True, slots=True)
class Growth:
    """The results, as steps with rising counts.

    Attributes:
        connections: by connections, for each server.
        one_busy: by endpoints, one of them busy.
        all_busy: by endpoints, with the same number of connections spread over all of them.
    """

    machine: Machine
    repeats: int
    seconds: float
    connections: list[Step]
    one_busy: list[Step]
    all_busy: list[Step]

    def of(self, server: str) -> list[Step]:
        """Return the steps of one server by connections."""
        return [step for step in self.connections if step.name == server]

    def __str__(self) -> str:
        return f"{self.repeats} rounds of {self.seconds:g} s; {self.machine}"


def idle_endpoints_summary(steps: Sequence[Step]) -> str:
    """Return a sentence: whether idle endpoints cost the busy one anything, with figures."""
    alone, last = steps[0], steps[-1]
    rates, costs = (
        Quartiles.of_ratios(
            [get(each) for each in last.samples], [get(each) for each in alone.samples]
        )
        for get in (_rate, _cost)
    )
    nothing = costs.low <= 1 or costs.median <= 1 + _NOISE
    return (
        f"An endpoint without traffic costs the others {'nothing' if nothing else 'something'}: "
        f"beside {last.count - alone.count:,} of them a busy one gives {rates.text()} of what "
        f"it gives alone, and a message takes {costs.text()} of the processor time."
    )


def linearity_summary(growth: Growth) -> str:
    """Return sentences: whether anything grows faster than linearly, with figures."""
    # From 10 connections on: a single one wakes the server for each message, which is expensive, so
    # compared with it any growth looks small.
    ours, baseline = (growth.of(name)[1:] for name in ("localechod", "C epoll"))
    first, last = growth.all_busy[0], growth.all_busy[-1]
    linear = ours[-1].count / ours[0].count
    work, baseline_work = (
        linear * steps[-1].cost.median / steps[0].cost.median for steps in (ours, baseline)
    )
    spread = last.cost.median / first.cost.median
    most = max(work / max(linear, baseline_work), spread * first.count / last.count)
    verdict = "Processor time grows faster than linearly"
    if most <= _CACHES:
        verdict = "Growth is at most a tenth above linear, or above that of C"
    return (
        f"{verdict}: from {ours[0].count:,} to {ours[-1].count:,} connections a message from each "
        f"takes {work:,.0f} times the processor time (C: {baseline_work:,.0f} "
        f"times; linear: {linear:,.0f} times), and each connection takes "
        f"{_memory_of_each(ours):.2f} KiB. Spread over {last.count:,} endpoints instead of one, as "
        f"many messages take {spread:.2f} times the processor time; an endpoint takes "
        f"{_memory_of_each(growth.all_busy):.2f} KiB."
    )


def as_text(growth: Growth) -> str:
    """Return the report for a terminal."""
    lines = []
    for title, steps in (
        ("connections, all busy", growth.connections),
        ("endpoints, 32 connections to one of them", growth.one_busy),
        ("endpoints, 1,000 connections to all of them", growth.all_busy),
    ):
        lines += ["", f"{title:43}{'messages/s':>12}{'us':>8}{'MiB':>8}"]
        lines += [
            f"  {step.name:20}{step.count:>10,}{'':11}{step.rate.median:>12,.0f}"
            f"{step.cost.median:>8.2f}{step.memory.median:>8.1f}"
            for step in steps
        ]
    return "\n".join(
        [*lines, "", idle_endpoints_summary(growth.one_busy), "", linearity_summary(growth), ""]
    )


def blocks(growth: Growth) -> dict[str, str]:
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
        for one, two in zip(growth.one_busy, growth.all_busy, strict=True)
    ]
    by = "C", "localechod", "C, µs", "localechod, µs", "C, MiB", "localechod, MiB"
    per = "one busy", "all busy", "one busy, µs", "all busy, µs", "MiB"
    return {
        "connections": "\n\n".join(
            [
                image("connections", "lines: messages per second, cost and memory by connections"),
                table(["connections", *by], connections),
                linearity_summary(growth),
                f"{growth}.",
            ]
        ),
        "endpoints": "\n\n".join(
            [
                image("endpoints", "lines: messages per second, cost and memory by endpoints"),
                table(["endpoints", *per], endpoints),
                idle_endpoints_summary(growth.one_busy),
            ]
        ),
    }


def pictures(growth: Growth) -> dict[str, str]:
    """Return the pictures of the blocks."""
    servers = {"localechod": growth.of("localechod"), "C epoll": growth.of("C epoll")}
    loads = {"one is busy": growth.one_busy, "all are busy": growth.all_busy}
    return {
        "connections": picture("By connections", "connections", _panels(servers, servers)),
        "endpoints": picture("By endpoints", "endpoints", _panels(loads, {"": growth.all_busy})),
    }


_Lines = Mapping[str, Sequence[Step]]
_COLORS = {"localechod": "first", "C epoll": "third", "all are busy": "second"}


def _panels(lines: _Lines, idle: _Lines) -> list[Panel]:
    def panel(title: str, which: _Lines, get: Callable[[Step], Quartiles]) -> Panel:
        drawn_lines = [
            Line(name, _COLORS.get(name, "first"), [(step.count, get(step)) for step in steps])
            for name, steps in which.items()
        ]
        return Panel(title, drawn_lines)

    return [
        panel("messages per second", lines, lambda step: step.rate),
        panel("processor time for a message, µs", lines, lambda step: step.cost),
        panel("memory without traffic, MiB", idle, lambda step: step.memory),
    ]


def _rate(sample: Sample) -> float:
    return sample.rate


def _cost(sample: Sample) -> float:
    return sample.cost or 0.0


def _memory_of_each(steps: Sequence[Step]) -> float:
    """Return the memory in KiB of each connection or endpoint beyond those of the first step."""
    return (steps[-1].memory_kib - steps[0].memory_kib) / (steps[-1].count - steps[0].count)
