"""Measuring peers side by side: warm-up, rounds in alternation, and what they come to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from localechod.bench import processor
from localechod.bench.channel import Channel
from localechod.bench.exchange import learn, message, request
from localechod.bench.histogram import Histogram
from localechod.bench.load import Load, Round
from localechod.bench.quartiles import Quartiles
from localechod.errors import LocalechodError

_WARM_UP = 0.25  # seconds at most: caches, buffers and the processor's clock settle much faster


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of every peer.

    Attributes:
        size: bytes of a message, without what a framing adds.
        connections: how many at once.
        in_flight: requests under way on each.
        seconds: length of a round.
        repeats: rounds for each peer.
        timeout: seconds to wait for a reply.
        processor: that all processes of ours are kept on, or None.
    """

    size: int
    connections: int
    in_flight: int
    seconds: float
    repeats: int
    timeout: float
    processor: int | None


@dataclass(slots=True)
class Result:
    """A peer and what was measured of it.

    Attributes:
        name: what it is called in tables.
        pid: the server's, or None where it cannot be known.
        rounds: those that went well.
        failure: why there are no more of them, or None.
    """

    name: str
    pid: int | None
    rounds: list[Round] = field(default_factory=list)
    failure: LocalechodError | None = None

    @property
    def rate(self) -> Quartiles:
        """Replies per second, over the rounds."""
        return Quartiles.of([each.rate for each in self.rounds])

    @property
    def latencies(self) -> Histogram:
        """All of them together: a percentile of percentiles would say nothing."""
        merged = Histogram()
        for each in self.rounds:
            merged.add(each.latencies)
        return merged

    @property
    def client_cost(self) -> float:
        """Processor seconds of this program for each message."""
        return sum(each.client for each in self.rounds) / self.latencies.count

    @property
    def server_cost(self) -> float | None:
        """Processor seconds of the server for each message, where they can be known.

        A process that hands every client to another one seems to use nothing.
        """
        used = [each.server for each in self.rounds if each.server is not None]
        if len(used) < len(self.rounds) or not sum(used):
            return None
        return sum(used) / self.latencies.count


class EchoTarget:
    """A peer with its connections, ready to be measured.

    Args:
        name: what it is called in tables.
        channels: connections to it, at least one.
        pid: the server's process, or None.
        framing: of a stream, as `exchange.request` takes it.
        record_size: bytes of a record.
    """

    def __init__(
        self,
        name: str,
        channels: Sequence[Channel],
        pid: int | None,
        framing: str = "auto",
        record_size: int = 0,
    ) -> None:
        self.result = Result(name, pid)
        self._channels = channels
        self._framing = framing
        self._record_size = record_size
        self._load: Load | None = None

    def prepare(self, plan: Plan) -> None:
        """Learn how its replies look and let it warm up.

        Raises:
            LocalechodError: it does not answer, or is no echo.
        """
        first, text = self._channels[0], message(plan.size)
        kept = first.boundaries
        written = request(text, self._framing, self._record_size, boundaries=kept)
        # The second reply: before the first there may be a greeting.
        for _ in range(2):
            reply = first.first_reply(written, plan.timeout)
            exchange = learn(written, text, reply, first.path, boundaries=kept)
        self._load = Load(self._channels, exchange, plan.in_flight, plan.timeout, self._server)
        self._load.round(min(_WARM_UP, plan.seconds))

    def measure(self, seconds: float) -> None:
        """Measure one round more.

        Raises:
            LocalechodError: a reply is wrong or missing.
        """
        if self._load is None:
            raise AssertionError("measured before it was prepared")
        self.result.rounds.append(self._load.round(seconds))

    def _server(self) -> float | None:
        return None if self.result.pid is None else processor.seconds(self.result.pid)


def measure(targets: Sequence[EchoTarget], plan: Plan, tick: Callable[[], object]) -> None:
    """Measure peers in turn, one round each, so that a drift of the machine hits all alike.

    A peer that fails keeps its reason and is left out from there on.

    Args:
        targets: the peers; their results grow.
        plan: how often and how long.
        tick: called `plan.repeats + 1` times for each peer, for a progress bar.
    """
    for number in range(plan.repeats + 1):
        for target in targets:
            if target.result.failure is None:
                try:
                    if number:
                        target.measure(plan.seconds)
                    else:
                        target.prepare(plan)
                except LocalechodError as error:
                    target.result.failure = error
            tick()
