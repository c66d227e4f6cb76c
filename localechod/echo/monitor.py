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
from localechod.echo.retry import Backoff, Cure, cure
from localechod.errors import LocalechodError, SocketError
from localechod.localsocket.entry import PinnedEntry
from localechod.localsocket.filecheck import File, FileState, difference, fate, judge, look
from localechod.localsocket.hints import connect_hint
from localechod.localsocket.watch import Watches

# Acts at once before they are spread: enough for `mkdir`, `chown` and `chmod` one after the other.
_AT_ONCE = 4

_RESTART = "only root can bind it again: systemctl restart localechod"


@dataclass(slots=True, eq=False)
class _Watched:
    """One endpoint, and when it is looked at next.

    Attributes:
        watched: whether events tell of everything that can happen to its path.
        held: the timer is there to spread acts: an event does not come before it.
    """

    endpoint: Endpoint
    watched: bool = False
    held: bool = False
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
        self._watched: dict[str, _Watched] = {}
        self._closed = False
        for descriptor in watches.descriptors:
            reactor.register(descriptor, select.EPOLLIN, self._events)

    def attend(self, endpoint: Endpoint) -> None:
        """Take note of what the supervisor has just done to an endpoint."""
        if self._closed:
            return
        name = endpoint.config.name
        known = self._watched.pop(name, None)
        if known is not None:
            self._rest(known)
        if endpoint.state is State.STOPPED:
            self._watches.forget(name)
            return
        ward = self._watched[name] = _Watched(endpoint)
        if endpoint.state.serves:
            self._look(ward)
        elif self._may_bind(endpoint.config) and endpoint.error is not None:
            self._watch_names(ward)
            if cure(endpoint.error, watched=ward.watched) is Cure.EVENT:
                self._look(ward)  # the event may have come before the watch
            else:
                self._wait(ward, endpoint.error)

    def retry(self, endpoint: Endpoint) -> None:
        """Try at once what has failed; somebody may have seen to it."""
        ward = self._watched.get(endpoint.config.name)
        if ward is not None and endpoint.state is State.FAILED:
            self._look(ward)

    def close(self) -> None:
        """Stop looking after anything: the sockets are given away, or given up."""
        if self._closed:
            return
        self._closed = True
        for ward in self._watched.values():
            self._rest(ward)
        self._watched.clear()
        for descriptor in self._watches.descriptors:
            self._reactor.unregister(descriptor)
        self._watches.close()

    def _events(self, _events: int) -> None:
        for name in self._watches.changed():
            ward = self._watched.get(name)
            if ward is not None and not ward.held:
                self._look(ward, paced=True)

    def _look(self, ward: _Watched, *, paced: bool = False) -> None:
        self._rest(ward)
        if ward.endpoint.state is State.FAILED:
            self._start(ward, paced=paced)
        elif ward.endpoint.bound is not None and ward.endpoint.bound.file is not None:
            self._inspect(ward, ward.endpoint.bound.file, paced=paced)
        elif ward.endpoint.activated is not None and not ward.endpoint.config.address.is_abstract:
            what = "its file was removed or replaced before the service started"
            ward.endpoint.impair("file", LocalechodError(what, REMEDY))

    def _start(self, ward: _Watched, *, paced: bool) -> None:
        """Try to start an endpoint that has failed."""
        if not self._may_bind(ward.endpoint.config) or (paced and self._is_held(ward)):
            return
        self._watch_names(ward)
        error = ward.endpoint.retry()
        if error is None:
            self._look(ward)
        else:
            self._wait(ward, error)

    def _inspect(self, ward: _Watched, file: PinnedEntry, *, paced: bool) -> None:
        """Look what has become of the file of an endpoint that serves, and make it good."""
        endpoint, address = ward.endpoint, ward.endpoint.config.address
        expected = _expected(endpoint, file)
        ward.watched = self._watches.file(endpoint.config.name, Path(address.path), file)
        found = look(address)
        if judge(found, expected) not in {FileState.OURS, FileState.CHANGED}:
            self._watch_names(ward)
            found = look(address)  # again, now that no event can be missed
        standing = judge(found, expected)
        if standing is FileState.OURS:
            endpoint.cure("file")
        elif isinstance(found, int) and standing is FileState.HIDDEN:
            hint = connect_hint(found, address)
            error = SocketError("stat", found, str(address), hint)
            self._give_up(ward, "the way to its file is closed", error)
        elif isinstance(found, File) and standing is FileState.CHANGED:
            what = f"its file was given {difference(found, expected)}"
            self._act(ward, what, "put back", endpoint.restore, paced=paced)
        else:
            what = f"its file was {'replaced' if standing is FileState.ANOTHER else fate(file)}"
            if endpoint.activated is not None:
                endpoint.impair("file", LocalechodError(what, REMEDY))
            elif self._may_bind(endpoint.config):
                self._act(ward, what, "bound again", endpoint.rebind, paced=paced)
            else:
                endpoint.impair("file", LocalechodError(what, _RESTART))

    def _act(
        self, ward: _Watched, what: str, remedy: str, action: Callable[[], None], *, paced: bool
    ) -> None:
        endpoint = ward.endpoint
        if paced and self._is_held(ward):
            endpoint.impair("file", LocalechodError(what))
            return
        try:
            action()
        except LocalechodError as error:
            self._give_up(ward, what, error)
            return
        if not endpoint.is_impaired("file"):
            endpoint.impair("file", LocalechodError(what, remedy))
        # Watch the new file; and what has happened to it before that is seen by looking.
        self._look(ward, paced=True)

    def _give_up(self, ward: _Watched, what: str, error: LocalechodError) -> None:
        """Say what is the matter, and wait for what can cure it."""
        ward.endpoint.impair("file", LocalechodError(f"{what}, and {error.text}", error.hint))
        self._wait(ward, error)

    def _wait(self, ward: _Watched, error: LocalechodError) -> None:
        if cure(error, watched=ward.watched) is Cure.TIME:
            self._put_off(ward, ward.retries.wait(time.monotonic()))

    def _is_held(self, ward: _Watched) -> bool:
        """Count an act, and put it off where there have been too many."""
        seconds = ward.acts.wait(time.monotonic())
        if seconds:
            ward.held = True
            self._put_off(ward, seconds)
        return ward.held

    def _put_off(self, ward: _Watched, seconds: float) -> None:
        ward.endpoint.next_attempt = time.monotonic() + seconds
        ward.timer = self._reactor.loop.call_later(seconds, self._look, ward)

    def _rest(self, ward: _Watched) -> None:
        if ward.timer is not None:
            ward.timer.cancel()
        ward.timer, ward.held, ward.endpoint.next_attempt = None, False, None

    def _watch_names(self, ward: _Watched) -> None:
        address = ward.endpoint.config.address
        if not address.is_abstract:
            name = ward.endpoint.config.name
            ward.watched = self._watches.names(name, Path(address.path))


def _expected(endpoint: Endpoint, file: PinnedEntry) -> File:
    """Return what clients should find at the path; owner and mode of a lent file are not ours."""
    if endpoint.activated is not None:
        return File.of(file.status)
    wanted = endpoint.wanted
    return File(file.identity, wanted.mode, wanted.uid, wanted.gid)
