"""The load generator: each connection has a fixed number of requests in flight, for a while.

It is a closed loop: a reply triggers the next request, so a slow server gets fewer requests and no
queue of them. It is one epoll loop on bare descriptors: with asyncio, most of the measured time
would be asyncio's.
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
    """The figures of one round.

    Attributes:
        latencies: of every reply, in ns.
        seconds: from the first request to the last reply.
        client_cpu: processor seconds of this process.
        server_cpu: processor seconds of the server, or None where they are unknown.
    """

    latencies: Histogram
    seconds: float
    client_cpu: float
    server_cpu: float | None

    @property
    def rate(self) -> float:
        """Replies per second."""
        return self.latencies.count / self.seconds


class Load:
    """Connections to one server, and the exchange that is repeated on them.

    Args:
        channels: one or more connections.
        exchange: the request and its reply, the same on each connection.
        in_flight: the number of requests in flight on each connection.
        timeout: seconds without a reply, or after the end of a round, after which it fails.
        server_cpu: returns the server's processor seconds so far, or None.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        exchange: Exchange,
        in_flight: int,
        timeout: float,
        server_cpu: Callable[[], float | None],
    ) -> None:
        self._channels = channels
        self._exchange = exchange
        self._in_flight = in_flight
        self._timeout = timeout
        self._server_cpu = server_cpu
        self._by_descriptor = {fd: each for each in channels for fd in (each.read, each.write)}
        self._full: set[int] = set()  # descriptors with a full buffer, watched with EPOLLOUT

    def round(self, seconds: float) -> Round:
        """Keep the server busy for so many seconds, then wait for the last replies.

        Raises:
            LocalechodError: a reply is wrong or missing, or a connection failed.
        """
        latencies = Histogram()
        with select.epoll() as epoll:
            for channel in self._channels:
                epoll.register(channel.read, select.EPOLLIN)
            server = self._server_cpu()
            client = time.process_time()
            started = time.perf_counter_ns()
            self._run(epoll, started + round(seconds * _NS), latencies)
            elapsed = time.perf_counter_ns() - started
            client = time.process_time() - client
            after = self._server_cpu()
        used = None if server is None or after is None else after - server
        return Round(latencies, elapsed / _NS, client, used)

    def _run(self, epoll: select.epoll, end: int, latencies: Histogram) -> None:
        for channel in self._channels:
            self._send(epoll, channel, self._in_flight, time.perf_counter_ns())
        unanswered = self._in_flight * len(self._channels)
        replied = time.perf_counter_ns()
        while unanswered:
            events = epoll.poll(self._timeout)
            self._check_time(events, min(replied, end))
            for descriptor, event in events:
                channel = self._by_descriptor[descriptor]
                if descriptor in self._full and event & ~select.EPOLLIN:
                    self._watch(epoll, channel, written=channel.flush(self._exchange.request))
                if not event & _INPUT or descriptor != channel.read:
                    continue
                if not (replies := channel.receive(self._exchange)):
                    continue
                replied = now = time.perf_counter_ns()
                for _ in range(replies):
                    latencies.record(now - channel.due.popleft())
                if now >= end:
                    unanswered -= replies
                else:
                    self._send(epoll, channel, replies, now)

    def _check_time(self, events: Sequence[object], since: int) -> None:
        """Raise an error after too much time (ns), also if bytes come that complete no reply."""
        if not events or time.perf_counter_ns() - since > self._timeout * _NS:
            raise next(each for each in self._channels if each.due).timed_out(self._timeout)

    def _send(self, epoll: select.epoll, channel: Channel, count: int, now: int) -> None:
        """Send one or more requests; the rest follows when the buffer has space."""
        for _ in range(count):
            written = channel.send(self._exchange.request, now)
        self._watch(epoll, channel, written=written)

    def _watch(self, epoll: select.epoll, channel: Channel, *, written: bool) -> None:
        """Watch for buffer space (EPOLLOUT) as long as anything is left to write."""
        if written == (channel.write not in self._full):
            return
        self._full ^= {channel.write}
        if channel.write == channel.read:
            epoll.modify(channel.read, select.EPOLLIN | (0 if written else select.EPOLLOUT))
        elif written:
            epoll.unregister(channel.write)
        else:
            epoll.register(channel.write, select.EPOLLOUT)
