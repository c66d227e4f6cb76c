"""The door of a stream or seqpacket endpoint: it accepts, admits, keeps, and lets go."""

import asyncio
import errno
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from localechod.config import EndpointConfig
from localechod.echo.context import Context
from localechod.echo.counters import Counters
from localechod.echo.limits import AllowList, UserLimit
from localechod.echo.persist.snapshot import ConnectionSnapshot
from localechod.echo.status import PeerRow
from localechod.echo.stream.connection import Connection
from localechod.echo.stream.framed import StreamConnection
from localechod.echo.stream.seqpacket import SeqpacketConnection
from localechod.localsocket.bind import Bound
from localechod.localsocket.peer import Credentials, credentials

# Connections accepted in one turn of the loop, so that an accept flood delays nobody's reply for
# long.
_ACCEPTS = 16

# With no descriptor left accept(2) fails at once and forever, and the listener stays readable:
# instead of spinning it rests until one of its own connections closes, or for so many seconds.
# The engine keeps the last ones for the control plane, and says that there is none before that.
# accept4(2) takes the descriptor before it looks for a client, so EAGAIN says that there is one
# again and nobody waits for it; any success before that may have taken the last.
_PAUSE = 1.0
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """Serves one listening socket and all its connections.

    Args:
        trouble: called with the reason when it cannot accept any more, with "" when it can again.
    """

    def __init__(
        self,
        context: Context,
        config: EndpointConfig,
        bound: Bound,
        trouble: Callable[[str], None],
    ) -> None:
        self.reactor = context.reactor
        self.counters = context.counters
        self.observe = context.endpoint_log.received
        self.config = config
        self.crash_keeper = context.crash_keeper
        self._endpoint_log = context.endpoint_log
        self._trouble = trouble
        self._bound = bound
        self._sock = bound.sock
        self._type = int(bound.sock.type)
        self._kind = StreamConnection if config.type == "stream" else SeqpacketConnection
        self._connections: set[Connection] = set()
        self._allow = AllowList(config.allow)
        self._users = UserLimit(config.max_connections_per_user)
        self._open = True
        self._accepting = False
        self._in_trouble = False
        self._pause_timer: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._accept_again()

    def __len__(self) -> int:
        return len(self._connections)

    def peers(self) -> list[PeerRow]:
        """Describe everyone who is connected."""
        return [connection.row() for connection in self._connections]

    def totals(self) -> Counters:
        """Count everything, also what those did who are connected."""
        totals = self.counters.copy()
        for connection in self._connections:
            totals.add(connection)
        return totals

    def configure(self, config: EndpointConfig) -> None:
        """Apply what can change under a bound socket; `allow` counts for new connections."""
        self.config = config
        self._allow = AllowList(config.allow)
        self._users.limit = config.max_connections_per_user
        for connection in list(self._connections):
            connection.configure(config)
        self._watch_idle()
        self._accept_again()

    def connection_closed(self, connection: Connection) -> None:
        """Take back a connection's place, and accept again if that was what was missing."""
        self._connections.discard(connection)
        self.counters.add(connection)
        self._users.leave(connection.peer.uid)
        if not self._connections:
            self._empty.set()
        self._accept_again()

    def shut(self) -> None:
        """Close the listening socket and remove its file; who is connected stays.

        After SHUT_RD nobody can connect any more, also through a duplicate that somebody keeps; and
        who has connected without having been accepted yet still is, instead of being reset. A lent
        socket goes on without us: who waits there is for whoever serves it next.
        """
        if not self._open:
            return
        self._open = False
        self._stop_accepting()
        if self._sweep is not None:
            self._sweep.cancel()
        self._bound.remove()
        self._sock.close()

    def rebind(self, bound: Bound) -> None:
        """Go on with another listening socket; who is connected stays, and so does who waits."""
        self._stop_accepting()
        self._bound.remove()
        self._sock.close()
        self._bound, self._sock = bound, bound.sock
        self._accept_again()

    def close(self) -> None:
        """Close the listening socket and every connection; what was received is answered first."""
        self.shut()
        for connection in list(self._connections):
            connection.finish()

    async def drain(self) -> None:
        """After `shut`: answer what was received; return when the last connection has closed."""
        for connection in list(self._connections):
            connection.drain()
        await self._empty.wait()

    def freeze(self) -> list[tuple[socket.socket, ConnectionSnapshot]]:
        """Describe every connection, beside its socket; nothing may be served after this."""
        # A timer would still fire while the loop winds up, and hang up on somebody for good: a
        # connection that is shut down is shut down for every process that has it.
        if self._sweep is not None:
            self._sweep.cancel()
        self._pause()
        return [(connection.sock, connection.freeze()) for connection in self._connections]

    def thaw(self, sock: socket.socket, state: ConnectionSnapshot) -> None:
        """Go on with a connection that another process accepted."""
        peer = Credentials(state.pid, state.uid, state.gid, frozenset(state.groups))
        connection = self._add(sock, peer)
        connection.thaw(state)
        if state.serial:
            self.crash_keeper.resume(connection, state.serial)

    def _stop_accepting(self) -> None:
        """Let nobody new connect, and in who has connected already."""
        self._pause()
        if self._bound.lent:
            return
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)
            while len(self._connections) < self.config.max_connections:
                self._admit(self._sock.accept()[0])

    def _accept(self, _events: int) -> None:
        for _ in range(_ACCEPTS):
            if len(self._connections) >= self.config.max_connections:
                self._pause()
                self._accept_recovered()
                return
            if not self.reactor.has_room():
                self._accept_failed(OSError(errno.EMFILE, ""))
                return
            try:
                # accept() itself would look up two enumerations for each client: a tenth of the
                # price of a connection.
                descriptor, _name = self._sock._accept()  # type: ignore[attr-defined]  # noqa: SLF001
            except BlockingIOError:
                self._accept_recovered()
                return
            except OSError as error:
                self._accept_failed(error)
                return
            self.reactor.note_fd(descriptor)
            self._admit(socket.socket(socket.AF_UNIX, self._type, 0, descriptor))

    def _accept_failed(self, error: OSError) -> None:
        # ECONNABORTED and the like concern one client who has left; the next may be fine.
        if error.errno in _EXHAUSTED:
            self.counters.errors["accept_failed"] += 1
            self._pause()
            self._pause_timer = self.reactor.loop.call_later(_PAUSE, self._pause_over)
            self._in_trouble = True
            self._trouble(f"accept failed: {os.strerror(error.errno or 0)} ({error.errno})")

    def _accept_recovered(self) -> None:
        if self._in_trouble:
            self._in_trouble = False
            self._trouble("")

    def _admit(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        peer = credentials(sock, supplementary=not self._allow.everyone)
        refusal = self._refusal(peer)
        if refusal:
            reason, why = refusal
            self.counters.errors[reason] += 1
            self._endpoint_log.refused(peer, why)
            sock.close()
            return
        self.counters.accepted += 1
        self._add(sock, peer)

    def _add(self, sock: socket.socket, peer: Credentials) -> Connection:
        self._users.enter(peer.uid)
        self._empty.clear()
        connection = self._kind(sock, peer, self)
        self._connections.add(connection)
        self.crash_keeper.enter(connection)
        if self._sweep is None:
            self._watch_idle()
        return connection

    def _refusal(self, peer: Credentials) -> tuple[str, str] | None:
        if not self._allow.admits(peer):
            return "not_allowed", "not in allow"
        if not self._users.admits(peer.uid):
            return "user_limit", f"has {self._users.limit} connections already"
        return None

    def _pause(self) -> None:
        if self._accepting:
            self.reactor.unregister(self._sock.fileno())
            self._accepting = False
        if self._pause_timer is not None:
            self._pause_timer.cancel()
            self._pause_timer = None

    def _pause_over(self) -> None:
        self._pause_timer = None
        self._accept_again()

    def _accept_again(self) -> None:
        if (
            self._accepting
            or not self._open
            or len(self._connections) >= self.config.max_connections
        ):
            return
        if self._pause_timer is not None:
            self._pause_timer.cancel()
            self._pause_timer = None
        self.reactor.register(self._sock.fileno(), select.EPOLLIN, self._accept)
        self._accepting = True
        if self._in_trouble:
            self._accept(select.EPOLLIN)  # the listener itself would tell only of a next client

    def _watch_idle(self) -> None:
        """Look at idle connections when the first may be due, yet not so often that it costs."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        timeout = self.config.idle_timeout
        if timeout and self._connections:
            first = min(connection.active_at for connection in self._connections) + timeout
            wait = max(first - time.monotonic(), timeout / 10)
            self._sweep = self.reactor.loop.call_later(wait, self._close_idle)

    def _close_idle(self) -> None:
        due = time.monotonic() - self.config.idle_timeout
        for connection in [c for c in self._connections if c.active_at <= due]:
            self.counters.errors["idle_timeout"] += 1
            connection.close()
        self._watch_idle()
