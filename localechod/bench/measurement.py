"""Measuring echo servers in turns: the warm-up, the rounds, and the results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from localechod.bench import processor
from localechod.bench.channel import Channel
from localechod.bench.exchange import learn, message, request
from localechod.bench.histogram import Histogram
from localechod.bench.load import Load, Round
from localechod.bench.quartiles import Quartiles
from localechod.errors import LocalechodError

_WARM_UP = 0.25  # seconds at most: caches, buffers and the clock frequency settle much faster


@dataclass(frozen=True, slots=True)
class Plan:
    """The load on each server, and how often it is measured.

    Attributes:
        size: bytes of a message, without what a framing adds.
        connections: the number of connections at once.
        in_flight: requests in flight on each connection.
        seconds: the length of a round.
        repeats: the number of rounds for each server.
        timeout: seconds to wait for a reply.
        processor: the one that this process and its children run on, or None for any.
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
    """What was measured of one server.

    Attributes:
        name: the server's name in tables.
        pid: the server's process, or None where it is unknown.
        rounds: those that succeeded.
        failure: why a round failed, after which there were no more; or None.
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
        """The latencies of all rounds together: a percentile of percentiles would mean nothing."""
        merged = Histogram()
        for each in self.rounds:
            merged.add(each.latencies)
        return merged

    @property
    def client_cost(self) -> float:
        """Processor seconds of this program for each message."""
        return sum(each.client_cpu for each in self.rounds) / self.latencies.count

    @property
    def server_cost(self) -> float | None:
        """Processor seconds of the server for each message, or None where they are unknown.

        They are unknown for a server that hands each client to another process: it seems to use no
        processor time.
        """
        used = [each.server_cpu for each in self.rounds if each.server_cpu is not None]
        if len(used) < len(self.rounds) or not sum(used):
            return None
        return sum(used) / self.latencies.count


class EchoTarget:
    """An echo server with its connections, ready to be measured.

    Args:
        name: the server's name in tables.
        channels: one or more connections to it.
        pid: the server's process, or None where it is unknown.
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
        """Learn the form of the replies, and warm up.

        Raises:
            LocalechodError: the server does not reply, or is not an echo server.
        """
        first, text = self._channels[0], message(plan.size)
        boundaries = first.boundaries
        written = request(text, self._framing, self._record_size, boundaries=boundaries)
        # Learn from the second reply: a greeting may precede the first one.
        for _ in range(2):
            reply = first.first_reply(written, plan.timeout)
            exchange = learn(written, text, reply, first.path, boundaries=boundaries)
        self._load = Load(self._channels, exchange, plan.in_flight, plan.timeout, self._server_cpu)
        self._load.round(min(_WARM_UP, plan.seconds))

    def measure(self, seconds: float) -> None:
        """Measure one more round.

        Raises:
            LocalechodError: a reply is wrong or missing.
        """
        if self._load is None:
            raise AssertionError("measured before it was prepared")
        self.result.rounds.append(self._load.round(seconds))

    def _server_cpu(self) -> float | None:
        return None if self.result.pid is None else processor.cpu_seconds(self.result.pid)


def measure(targets: Sequence[EchoTarget], plan: Plan, tick: Callable[[], object]) -> None:
    """Measure servers in turns, a round of each, so that a drift of the machine affects all alike.

    A server that fails keeps the error as its result and is not measured again.

    Args:
        targets: the servers; their results grow.
        plan: the load, and how often and how long it is measured.
        tick: called `plan.repeats + 1` times for each server, for a progress bar.
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
