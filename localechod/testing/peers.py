"""Peers for tests: endpoints of the session's daemon, each configured for one test."""

import itertools
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import tomli_w

from localechod.control.messages import EndpointStatus, Event
from localechod.errors import ConfigError, LocalechodError
from localechod.testing.daemon import SessionDaemon
from localechod.text import escape

P = ParamSpec("P")
T = TypeVar("T")

# A configuration has at least one endpoint. A disabled one has no socket.
_NONE: dict[str, Any] = {"none": {"type": "stream", "enabled": False}}

# A stop waits so long for received messages to be answered; a peer that never answers is usual.
_DRAIN_SECONDS = 0.1

_EVENTS = 256  # as many as the daemon keeps


class LocalPeer:
    """One endpoint, from `LocalPeers.add` on until it is removed; as a context, until its end.

    Every method raises LocalechodError, and DaemonNotRunningError if the daemon has ended.

    Attributes:
        name: the endpoint's name.
        path: its address as programs take it: an absolute path, or "@name" if it is abstract.
    """

    def __init__(self, peers: "LocalPeers", status: EndpointStatus) -> None:
        self._peers = peers
        self.name = status.name
        self.path = status.path

    @property
    def address(self) -> str:
        """The address as Python's socket.connect takes it: an abstract one begins with NUL."""
        return "\0" + self.path[1:] if self.path.startswith("@") else self.path

    def status(self) -> EndpointStatus:
        """Return its state and counters, as `localechoctl status --json` prints them."""
        __tracebackhide__ = True
        return self._peers.status(self.name)

    def messages(self) -> int:
        """Return how many messages it has received.

        Messages that were sent before the call are counted, if they are fewer than 32: the daemon
        reads from its endpoints before it answers the call.
        """
        __tracebackhide__ = True
        return self.status().messages_total

    def events(self) -> list[Event]:
        """Return what has happened to it, oldest first.

        The daemon keeps the newest 256 events of all its peers.
        """
        __tracebackhide__ = True
        past = self._peers.ask(self._peers.daemon.client.events, _EVENTS)
        return [one.event for one in past if one.event.endpoint == self.name]

    def configure(self, **keys: Any) -> None:
        """Change keys while it serves; docs/configuration.md tells what "binds again".

        Raises:
            ConfigError: a key or a value does not fit; nothing has changed.
        """
        __tracebackhide__ = True
        self._peers.change(self.name, keys)

    def stop(self) -> None:
        """Close its listener and its connections, and remove its file (ENOENT)."""
        __tracebackhide__ = True
        self._peers.ask(self._peers.daemon.client.stop, self.name)

    def start(self) -> None:
        """Listen again at the same address, after `stop` or the fault `die_after`."""
        __tracebackhide__ = True
        self._peers.ask(self._peers.daemon.client.start, self.name)

    def remove(self) -> None:
        """End it: its clients read end of file, and its file is removed. A second call is ok."""
        __tracebackhide__ = True
        self._peers.remove(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()


class LocalPeers:
    """The daemon of a test session, and its peers.

    Raises:
        LocalechodError: the daemon did not start; with what it wrote.
        OSError: no directory could be made for it, or no process be started.
    """

    def __init__(self) -> None:
        self._endpoints: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)
        self.daemon = SessionDaemon(_text(self._endpoints))

    def add(self, kind: str = "stream", /, **keys: Any) -> LocalPeer:
        """Return a new peer, which listens.

        Args:
            kind: "stream", "datagram" or "seqpacket".
            keys: any other key of an endpoint in docs/configuration.md, with its default there.

        Raises:
            ConfigError: a key or a value does not fit.
            LocalechodError: it cannot listen, as where its path is taken.
        """
        __tracebackhide__ = True
        # Never the name of an earlier peer: the daemon still has the events of that one.
        name = f"{kind}-{next(self._numbers)}"
        self.change(name, {"type": kind, **keys})
        status = self.status(name)
        if status.state == "failed":
            try:
                status = self.ask(self.daemon.client.start, name)  # raises the reason
            except LocalechodError:
                self.remove(name)
                raise
        return LocalPeer(self, status)

    def status(self, name: str) -> EndpointStatus:
        """Return the state and the counters of a peer.

        Raises:
            LocalechodError: there is no such peer.
        """
        __tracebackhide__ = True
        (status,) = self.ask(self.daemon.client.status, [name]).endpoints
        return status

    def change(self, name: str, keys: dict[str, Any]) -> None:
        """Give a peer these keys, besides those that it has; a new name is a new peer.

        Raises:
            ConfigError: a key or a value does not fit; nothing has changed.
        """
        __tracebackhide__ = True
        known = self._endpoints.get(name, {})
        self._apply({**self._endpoints, name: {**known, **keys}})

    def remove(self, name: str) -> None:
        """Remove a peer; one that is not there is removed already."""
        self._apply({other: keys for other, keys in self._endpoints.items() if other != name})

    def ask(self, call: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Make a call of the daemon's client; pytest shows its error at the line of the test."""
        __tracebackhide__ = True
        try:
            return call(*arguments, **keywords)
        except LocalechodError as error:
            raise error.with_traceback(None) from None

    def close(self) -> None:
        """End the daemon, with all peers; nothing of it is left."""
        self.daemon.end()

    def _apply(self, endpoints: dict[str, dict[str, Any]]) -> None:
        __tracebackhide__ = True
        try:
            text = _text(endpoints)
        except TypeError as error:  # a value for which TOML has no form
            raise ConfigError(escape(str(error))) from None
        self.daemon.configure(text)
        try:
            self.ask(self.daemon.client.reload)
        except LocalechodError as error:
            # The file is ours, and its name tells the author of a test nothing.
            error.text = error.text.replace(f"{self.daemon.file}: ", "")
            raise
        self._endpoints = endpoints


def _text(endpoints: dict[str, dict[str, Any]]) -> str:
    service: dict[str, Any] = {"drain_timeout": _DRAIN_SECONDS}
    if os.geteuid() == 0:
        service["user"] = "nobody"
    return tomli_w.dumps({"version": 1, "service": service, "endpoints": _NONE | endpoints})
