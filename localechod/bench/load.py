"""The load generator: every connection has its number of requests under way, for a while.

Closed loop: a reply is what the next request waits for, so that a slow peer is asked less and not
drowned. It is one epoll over plain descriptors; asyncio would be most of what it measures.
"""

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localechod.bench.channel import Channel
from localechod.bench.exchange import Exchange
from localechod.bench.histogram import Histogram

_NS = 1_000_000_000
_INPUT = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


@dataclass(frozen=True, slots=True)
class Round:
    """What one stretch of time brought.

    Attributes:
        latencies: of every reply, in ns.
        seconds: from the first request to the last reply.
        client: processor seconds of this process.
        server: of the peer's, None where they cannot be known.
    """

    latencies: Histogram
    seconds: float
    client: float
    server: float | None

    @property
    def rate(self) -> float:
        """Replies per second."""
        return self.latencies.count / self.seconds


class Load:
    """Some connections to one peer, and what is asked on them.

    Args:
        channels: at least one.
        exchange: the exchange, the same on each.
        in_flight: how many requests each has under way.
        timeout: seconds without any reply after which the peer counts as stuck.
        server: returns the peer's processor seconds so far, or None.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        exchange: Exchange,
        in_flight: int,
        timeout: float,
        server: Callable[[], float | None],
    ) -> None:
        self._channels = channels
        self._exchange = exchange
        self._in_flight = in_flight
        self._timeout = timeout
        self._server = server
        self._by_descriptor = {
            end: channel for channel in channels for end in (channel.read, channel.write)
        }
        self._stuck: set[int] = set()  # descriptors that are watched for room to write

    def round(self, seconds: float) -> Round:
        """Keep the peer busy for so long, then wait for the last replies.

        Raises:
            LocalechodError: a reply is wrong or missing, or a connection failed.
        """
        latencies = Histogram()
        with select.epoll() as epoll:
            for channel in self._channels:
                epoll.register(channel.read, select.EPOLLIN)
            server = self._server()
            client = time.process_time()
            begun = time.perf_counter_ns()
            self._run(epoll, begun + round(seconds * _NS), latencies)
            elapsed = time.perf_counter_ns() - begun
            client = time.process_time() - client
            after = self._server()
        used = None if server is None or after is None else after - server
        return Round(latencies, elapsed / _NS, client, used)

    def _run(self, epoll: select.epoll, end: int, latencies: Histogram) -> None:
        for channel in self._channels:
            self._ask(epoll, channel, self._in_flight, time.perf_counter_ns())
        under_way = self._in_flight * len(self._channels)
        while under_way:
            events = epoll.poll(self._timeout)
            if not events:
                raise next(channel for channel in self._channels if channel.begun).late(
                    self._timeout
                )
            for descriptor, event in events:
                channel = self._by_descriptor[descriptor]
                if descriptor in self._stuck and event & ~select.EPOLLIN:
                    self._watch(epoll, channel, written=channel.flush(self._exchange.request))
                if not event & _INPUT or descriptor != channel.read:
                    continue
                replies = channel.receive(self._exchange)
                now = time.perf_counter_ns()
                for _ in range(replies):
                    latencies.record(now - channel.begun.popleft())
                if now >= end:
                    under_way -= replies
                elif replies:
                    self._ask(epoll, channel, replies, now)

    def _ask(self, epoll: select.epoll, channel: Channel, count: int, now: int) -> None:
        """Send at least one request; what does not fit is sent when there is room."""
        for _ in range(count):
            written = channel.send(self._exchange.request, now)
        self._watch(epoll, channel, written=written)

    def _watch(self, epoll: select.epoll, channel: Channel, *, written: bool) -> None:
        """Watch for room to write as long as something waits for it."""
        if written == (channel.write not in self._stuck):
            return
        self._stuck ^= {channel.write}
        if channel.write == channel.read:
            epoll.modify(channel.read, select.EPOLLIN | (0 if written else select.EPOLLOUT))
        elif written:
            epoll.unregister(channel.write)
        else:
            epoll.register(channel.write, select.EPOLLOUT)
