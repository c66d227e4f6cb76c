"""Keeps endpoints up: looks after their files, and tries again what failed.

The one place that acts on what `localsocket/filecheck.py` and `echo/retry.py` decide, and the one
that waits: for an event, or for a back-off. Every endpoint is looked at as a whole each time, so
however many events a burst has, it makes one look in a turn of the loop; and acts that follow each
other at once are few, so that a fight over a path, or a directory that comes and goes, stays cheap.
"""

import asyncio
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
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

# Acts at once before they are spread: enough for `mkdir`, `chown` and `chmod` one after the other.
_AT_ONCE = 4

_RESTART = "only root can bind it again: systemctl restart localechod"


@dataclass(slots=True, eq=False)
class _Monitored:
    """One endpoint, and when it is looked at next.

    Attributes:
        watched: whether events tell of everything that can happen to its path.
        postponed: the timer is there to spread acts: an event does not come before it.
    """

    endpoint: Endpoint
    watched: bool = False
    postponed: bool = False
    timer: asyncio.TimerHandle | None = None
    retries: Backoff = field(default_factory=Backoff)
    acts: Backoff = field(default_factory=partial(Backoff, _AT_ONCE))


class Monitor:
    """Looks after the endpoints that it is told of.

    Args:
        may_bind: whether an endpoint can still be bound by this process.
    """

    def __init__(
        self, reactor: Reactor, watches: Watches, may_bind: Callable[[EndpointConfig], bool]
    ) -> None:
        self._reactor = reactor
        self._watches = watches
        self._may_bind = may_bind
        self._monitored: dict[str, _Monitored] = {}
        self._closed = False
        for descriptor in watches.descriptors:
            reactor.register(descriptor, select.EPOLLIN, self._events)

    def endpoint_changed(self, endpoint: Endpoint) -> None:
        """Take note of what the supervisor has just done to an endpoint."""
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
                self._look(monitored)  # the event may have come before the watch
            else:
                self._wait(monitored, endpoint.error)

    def retry(self, endpoint: Endpoint) -> None:
        """Try at once what has failed; somebody may have seen to it."""
        monitored = self._monitored.get(endpoint.config.name)
        if monitored is not None and endpoint.state is State.FAILED:
            self._look(monitored)

    def close(self) -> None:
        """Stop looking after anything: the sockets are given away, or given up."""
        if self._closed:
            return
        self._closed = True
        for monitored in self._monitored.values():
            self._cancel_timer(monitored)
        self._monitored.clear()
        for descriptor in self._watches.descriptors:
            self._reactor.unregister(descriptor)
        self._watches.close()

    def _events(self, _events: int) -> None:
        for name in self._watches.changed():
            monitored = self._monitored.get(name)
            if monitored is not None and not monitored.postponed:
                self._look(monitored, paced=True)

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
        """Look what has become of the file of an endpoint that serves, and make it good."""
        endpoint, address = monitored.endpoint, monitored.endpoint.config.address
        expected = _expected(endpoint, file)
        monitored.watched = self._watches.file(endpoint.config.name, Path(address.path), file)
        found = stat_path(address)
        if judge(found, expected) not in {FileState.OURS, FileState.CHANGED}:
            self._watch_names(monitored)
            found = stat_path(address)  # again, now that no event can be missed
        state = judge(found, expected)
        if state is FileState.OURS:
            endpoint.clear_trouble("file")
        elif isinstance(found, int) and state is FileState.HIDDEN:
            hint = connect_hint(found, address)
            error = SocketError("stat", found, str(address), hint)
            self._give_up(monitored, "the way to its file is closed", error)
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
        # Watch the new file; and what has happened to it before that is seen by looking.
        self._look(monitored, paced=True)

    def _give_up(self, monitored: _Monitored, what: str, error: LocalechodError) -> None:
        """Say what is the matter, and wait for what can cure it."""
        monitored.endpoint.set_trouble(
            "file", LocalechodError(f"{what}, and {error.text}", error.hint)
        )
        self._wait(monitored, error)

    def _wait(self, monitored: _Monitored, error: LocalechodError) -> None:
        if retry_on(error, watched=monitored.watched) is RetryOn.TIMER:
            self._look_in(monitored, monitored.retries.wait(time.monotonic()))

    def _is_postponed(self, monitored: _Monitored) -> bool:
        """Count an act, and put it off where there have been too many."""
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
    """Return what clients should find at the path; owner and mode of a lent file are not ours."""
    if endpoint.activated is not None:
        return File.of(file.status)
    wanted = endpoint.wanted
    return File(file.identity, wanted.mode, wanted.uid, wanted.gid)
