"""Closes connections on which nothing was read or written for `idle_timeout` seconds."""

import asyncio
import time
from collections.abc import Collection

from localechod.echo.counters import Counters
from localechod.echo.reasons import Reason
from localechod.echo.stream.connection import Connection


class IdleSweep:
    """Looks for idle connections when the first may be due, at most ten times in a timeout.

    One timer for all connections: a timer for each would have to be moved with each message.

    Args:
        connections: looked through; may change at any time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connections: Collection[Connection],
        counters: Counters,
    ) -> None:
        self._loop = loop
        self._connections = connections
        self._counters = counters
        self._timeout = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def configure(self, timeout: float) -> None:
        """Close connections after so many seconds from now on; 0: never."""
        self._timeout = timeout
        self._schedule()

    def connected(self) -> None:
        """Note a new connection."""
        if self._timer is None and self._timeout:
            self._schedule()

    def stop(self) -> None:
        """Close nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self.stop()
        if self._timeout and self._connections:
            first = min(connection.active_at for connection in self._connections) + self._timeout
            wait = max(first - time.monotonic(), self._timeout / 10)
            self._timer = self._loop.call_later(wait, self._close_idle)

    def _close_idle(self) -> None:
        due = time.monotonic() - self._timeout
        for connection in [c for c in self._connections if c.active_at <= due]:
            self._counters.errors[Reason.IDLE_TIMEOUT] += 1
            connection.close()
        self._schedule()
