"""The monitor: it repairs the socket files of endpoints, and retries endpoints that failed.

It acts on the decisions of `localsocket/filecheck.py` and `echo/retry.py`, and waits for events and
back-offs. It checks the whole endpoint each time, so a burst of events causes one check in a
round of the event loop. Repairs that follow each other at once are limited, so that two programs
that both claim a path, or a directory that comes and goes, cost little.
"""

import asyncio
import logging
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from localechod.config import EndpointConfig
from localechod.echo.activated import REMEDY
from localechod.echo.endpoint import Endpoint
from localechod.echo.lifecycle import State
from localechod.echo.reactor import Reactor
from localechod.echo.retry import Backoff, RetryOn, retry_on
from localechod.errors import LocalechodError, SocketError
from localechod.localsocket.entry import PinnedEntry
from localechod.localsocket.filecheck import File, FileState, difference, judge, loss, stat_path
from localechod.localsocket.hints import connect_hint
from localechod.localsocket.watch import Watches

log = logging.getLogger("localechod.echo")

# Endpoints checked in a round of the loop after inotify events. A check takes a tenth of a
# millisecond. A user who may write to the sockets can touch any number of them (utimensat(2)).
_CHECKS = 8

# Repairs without a wait: enough for `mkdir`, `chown` and `chmod` one after the other.
_AT_ONCE = 4

_RESTART = "only root can bind it again: systemctl restart localechod"


@dataclass(slots=True, eq=False)
class _Monitored:
    """One endpoint, and when it is checked next.

    Attributes:
        watched: whether inotify reports every change of its path.
        postponed: the timer spreads repairs, so an event before it is ignored.
        retries: waits between attempts; `acts`: waits between repairs.
    """

    endpoint: Endpoint
    watched: bool = False
    postponed: bool = False
    timer: asyncio.TimerHandle | None = None
    retries: Backoff = field(default_factory=Backoff)
    acts: Backoff = field(default_factory=partial(Backoff, _AT_ONCE))


class Monitor:
    """Keeps endpoints serving.

    Args:
        may_bind: whether this process can bind an endpoint with these settings.
    """

    def __init__(
        self, reactor: Reactor, watches: Watches, may_bind: Callable[[EndpointConfig], bool]
    ) -> None:
        self._reactor = reactor
        self._watches = watches
        self._may_bind = may_bind
        self._monitored: dict[str, _Monitored] = {}
        self._changed: dict[str, None] = {}  # names to be checked, in this order
        self._check: asyncio.Handle | None = None
        self._closed = False
        for descriptor in watches.descriptors:
            reactor.register(descriptor, select.EPOLLIN, self)

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Note that the supervisor has started, stopped or configured an endpoint."""
        if self._closed:
            return
        name = endpoint.config.name
        known = self._monitored.pop(name, None)
        if known is not None:
            self._cancel_timer(known)
        if endpoint.state is State.STOPPED:
            self._watches.forget(name)
            return
        monitored = self._monitored[name] = _Monitored(endpoint)
        if endpoint.state.serves:
            self._look(monitored)
        elif self._may_bind(endpoint.config) and endpoint.error is not None:
            self._watch_names(monitored)
            if retry_on(endpoint.error, watched=monitored.watched) is RetryOn.EVENT:
                self._look(monitored)  # the change may have come before the watch
            else:
                self._wait(monitored, endpoint.error)

    def retry(self, endpoint: Endpoint) -> None:
        """Try at once to start an endpoint that has failed; its cause may have been removed."""
        monitored = self._monitored.get(endpoint.config.name)
        if monitored is not None and endpoint.state is State.FAILED:
            self._look(monitored)

    def close(self) -> None:
        """Monitor nothing more: the sockets go to the next process, or are closed."""
        if self._closed:
            return
        self._closed = True
        for monitored in self._monitored.values():
            self._cancel_timer(monitored)
        self._monitored.clear()
        self._changed.clear()
        if self._check is not None:
            self._check.cancel()
        for descriptor in self._watches.descriptors:
            self._reactor.unregister(descriptor)
        self._watches.close()

    def failed(self, error: Exception) -> None:
        """See Handler: the endpoints are served further, and their files are not repaired."""
        log.error("socket files are not watched any more", exc_info=error)
        self.close()

    def serve(self, _events: int) -> None:
        """Look at what inotify reports; see Handler."""
        self._changed.update(dict.fromkeys(self._watches.changed()))
        if self._check is None:
            self._check_some()

    def _check_some(self) -> None:
        """Check a few endpoints, and the next ones in the next round of the loop."""
        self._check = None
        for name in list(islice(self._changed, _CHECKS)):
            del self._changed[name]
            monitored = self._monitored.get(name)
            if monitored is not None and not monitored.postponed:
                self._look(monitored, paced=True)
        if self._changed and not self._closed:
            self._check = self._reactor.loop.call_soon(self._check_some)

    def _look(self, monitored: _Monitored, *, paced: bool = False) -> None:
        self._cancel_timer(monitored)
        if monitored.endpoint.state is State.FAILED:
            self._start(monitored, paced=paced)
        elif monitored.endpoint.bound is not None and monitored.endpoint.bound.file is not None:
            self._inspect(monitored, monitored.endpoint.bound.file, paced=paced)
        elif (
            monitored.endpoint.activated is not None
            and not monitored.endpoint.config.address.is_abstract
        ):
            what = "its file was removed or replaced before the service started"
            monitored.endpoint.set_trouble("file", LocalechodError(what, REMEDY))

    def _start(self, monitored: _Monitored, *, paced: bool) -> None:
        """Try to start an endpoint that has failed."""
        if not self._may_bind(monitored.endpoint.config) or (
            paced and self._is_postponed(monitored)
        ):
            return
        self._watch_names(monitored)
        error = monitored.endpoint.retry()
        if error is None:
            self._look(monitored)
        else:
            self._wait(monitored, error)

    def _inspect(self, monitored: _Monitored, file: PinnedEntry, *, paced: bool) -> None:
        """Check the file of an endpoint that serves, and repair it."""
        endpoint, address = monitored.endpoint, monitored.endpoint.config.address
        expected = _expected(endpoint, file)
        monitored.watched = self._watches.file(endpoint.config.name, Path(address.path), file)
        found = stat_path(address)
        if judge(found, expected) not in {FileState.OURS, FileState.CHANGED}:
            self._watch_names(monitored)
            found = stat_path(address)  # again, as no event can be missed now
        state = judge(found, expected)
        if state is FileState.OURS:
            endpoint.clear_trouble("file")
        elif isinstance(found, int) and state is FileState.HIDDEN:
            hint = connect_hint(found, address)
            error = SocketError("stat", found, str(address), hint)
            self._give_up(monitored, "its file cannot be reached", error)
        elif isinstance(found, File) and state is FileState.CHANGED:
            what = f"its file was given {difference(found, expected)}"
            self._act(monitored, what, "put back", endpoint.restore, paced=paced)
        else:
            what = f"its file was {'replaced' if state is FileState.ANOTHER else loss(file)}"
            if endpoint.activated is not None:
                endpoint.set_trouble("file", LocalechodError(what, REMEDY))
            elif self._may_bind(endpoint.config):
                self._act(monitored, what, "bound again", endpoint.rebind, paced=paced)
            else:
                endpoint.set_trouble("file", LocalechodError(what, _RESTART))

    def _act(
        self,
        monitored: _Monitored,
        what: str,
        remedy: str,
        action: Callable[[], None],
        *,
        paced: bool,
    ) -> None:
        endpoint = monitored.endpoint
        if paced and self._is_postponed(monitored):
            endpoint.set_trouble("file", LocalechodError(what))
            return
        try:
            action()
        except LocalechodError as error:
            self._give_up(monitored, what, error)
            return
        if not endpoint.has_trouble("file"):
            endpoint.set_trouble("file", LocalechodError(what, remedy))
        # Watch the new file; this check finds what has happened to it before the watch.
        self._look(monitored, paced=True)

    def _give_up(self, monitored: _Monitored, what: str, error: LocalechodError) -> None:
        """Report the trouble, and wait for what triggers the next attempt."""
        monitored.endpoint.set_trouble(
            "file", LocalechodError(f"{what}, and {error.text}", error.hint)
        )
        self._wait(monitored, error)

    def _wait(self, monitored: _Monitored, error: LocalechodError) -> None:
        if retry_on(error, watched=monitored.watched) is RetryOn.TIMER:
            self._look_in(monitored, monitored.retries.wait(time.monotonic()))

    def _is_postponed(self, monitored: _Monitored) -> bool:
        """Count a repair; postpone it if there have been too many."""
        seconds = monitored.acts.wait(time.monotonic())
        if seconds:
            monitored.postponed = True
            self._look_in(monitored, seconds)
        return monitored.postponed

    def _look_in(self, monitored: _Monitored, seconds: float) -> None:
        monitored.endpoint.next_attempt = time.monotonic() + seconds
        monitored.timer = self._reactor.loop.call_later(seconds, self._look, monitored)

    def _cancel_timer(self, monitored: _Monitored) -> None:
        if monitored.timer is not None:
            monitored.timer.cancel()
        monitored.timer, monitored.postponed, monitored.endpoint.next_attempt = None, False, None

    def _watch_names(self, monitored: _Monitored) -> None:
        address = monitored.endpoint.config.address
        if not address.is_abstract:
            name = monitored.endpoint.config.name
            monitored.watched = self._watches.names(name, Path(address.path))


def _expected(endpoint: Endpoint, file: PinnedEntry) -> File:
    """Return what clients should find at the path; an activated file has the unit's settings."""
    if endpoint.activated is not None:
        return File.of(file.status)
    wanted = endpoint.wanted
    return File(file.identity, wanted.mode, wanted.uid, wanted.gid)
