"""The server of a stream or seqpacket endpoint: it accepts clients and has their connections."""

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

from localechod.config import EndpointConfig
from localechod.echo.context import Context
from localechod.echo.faults import EndpointFaults
from localechod.echo.persist.snapshot import ConnectionSnapshot
from localechod.echo.reasons import Reason
from localechod.echo.status import PeerRow
from localechod.echo.stream.admission import Admission
from localechod.echo.stream.connection import Connection
from localechod.echo.stream.framed import StreamConnection
from localechod.echo.stream.idle import IdleSweep
from localechod.echo.stream.lingering import Lingering
from localechod.echo.stream.seqpacket import SeqpacketConnection
from localechod.echo.stream.stepwise_records import StepwiseRecords
from localechod.echo.stream.stepwise_stream import StepwiseStream
from localechod.localsocket.bound import Bound
from localechod.localsocket.closing import hang_up
from localechod.localsocket.rights import allow_descriptors

# Connections accepted in one turn, at most, so that a flood of connects delays no reply for long.
# Fewer where fewer came the last time: an accept(2) that finds no client costs as much as another.
_ACCEPTS = 16

# Without a free descriptor accept(2) fails at once and the listener stays readable. Instead of
# spinning, the listener pauses until one of its connections closes, or for so many seconds. The
# reactor reserves the last descriptors for the control plane, and reports that there is none before
# that. accept4(2) takes the descriptor before it looks for a client. So EAGAIN says that there is a
# descriptor again and no client waits for it; any success before that may have taken the last.
_PAUSE = 1.0
# EINVAL, if another process that has the listening socket has shut it down, lasts likewise.
_LASTING = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL}


class Listener:
    """Serves one listening socket and all its connections; it is their Port.

    Args:
        trouble: called with the reason when accept fails, and with "" when it works again.
    """

    def __init__(
        self,
        context: Context,
        config: EndpointConfig,
        bound: Bound,
        trouble: Callable[[str], None],
    ) -> None:
        self.reactor = context.reactor
        self._endpoint_log = context.endpoint_log
        self.counters = context.counters
        self.observe = context.endpoint_log.received
        self.config = config
        self._is_plain = config.is_plain
        self.crash_keeper = context.crash_keeper
        self.buffers = context.buffers
        self.passed = context.passed
        self._trouble = trouble
        self._bound = bound
        self._sock = bound.sock
        self.socket_type = int(bound.sock.type)
        self._connections: set[Connection] = set()
        self.faults = EndpointFaults(config, context.counters, context.endpoint_log, context.die)
        self._model: Connection = _kind(config).model(self)
        self._accepts = 1
        self._admission = Admission(config, context.counters, context.endpoint_log)
        self._lingering = Lingering(context.reactor.loop, self._lingered)
        self._idle = IdleSweep(context.reactor.loop, self._connections, context.counters)
        self._idle.configure(config.idle_timeout)
        self._open = True
        self._accepting = False
        self._in_trouble = False
        self._pause_timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._allow_descriptors()
        self._accept_again()

    def __len__(self) -> int:
        return len(self._connections)

    def peers(self, uid: int | None) -> Iterator[PeerRow]:
        """Describe the connected clients of a user, or of all."""
        here = list(self._connections)  # some may leave before the iterator comes to them
        return (each.row() for each in here if uid is None or each.uid == uid)

    def configure(self, config: EndpointConfig) -> None:
        """Apply settings that need no other socket; `allow` applies to new connections."""
        self.config = config
        self._admission.configure(config)
        self._is_plain = config.is_plain
        self.faults.configure(config)
        before, self._model = type(self._model), _kind(config).model(self)
        for connection in list(self._connections):
            connection.configure(config)
            if before is not type(self._model) and connection in self._connections:
                self._exchange(connection)
        self._idle.configure(config.idle_timeout)
        self._allow_descriptors()
        self._accept_again()

    def linger(self, sock: socket.socket, uid: int) -> None:
        """See Port; it keeps its place, of the endpoint's and of its user's."""
        if self._open:
            self._admission.entered(uid)
            self._lingering.add(sock, uid)
        else:
            sock.close()

    def _lingered(self, uid: int) -> None:
        self._admission.left(uid)
        if not self._accepting:
            self._accept_again()

    def _places(self) -> int:
        """Return how many more connections there may be."""
        if self.faults.settings.never_accept or self.faults.dead:
            return 0
        taken = len(self._connections) + len(self._lingering)
        return self.config.max_connections - taken

    def connection_closed(self, connection: Connection) -> None:
        """See Port; accept again if the listener waited for a connection to close."""
        self._connections.discard(connection)
        self._admission.left(connection.uid)
        self.crash_keeper.forget(connection)
        if not self._connections:
            self._empty.set()
        if not self._accepting:
            self._accept_again()

    def failed(self, error: Exception) -> None:
        """See Port, and Handler: a defect in `serve` is treated like a failed accept."""
        self.counters.errors[Reason.INTERNAL_ERROR] += 1
        self._endpoint_log.defect(error)

    def shut(self) -> None:
        """Close the listening socket and remove its file; connections stay.

        After SHUT_RD no client can connect, also through a duplicate of the socket elsewhere.
        Clients that have connected and not been accepted yet still are, instead of being reset. An
        activated socket stays open: clients that wait there are for the next process that serves
        it.
        """
        if not self._open:
            return
        self._open = False
        self._stop_accepting()
        self._idle.stop()
        self._lingering.close()
        self._bound.remove()
        self._sock.close()

    def die(self) -> None:
        """Close everything at once, as if the process had ended: the socket's file stays."""
        self._open = False
        self._pause()
        self._idle.stop()
        self._lingering.close()
        if not self._bound.activated:
            with suppress(OSError):  # systemd may be late to close its duplicate
                self._sock.shutdown(socket.SHUT_RD)
        self._bound.close()
        for connection in list(self._connections):
            connection.close()

    def rebind(self, bound: Bound) -> None:
        """Continue with another listening socket; connections stay, and waiting clients too."""
        self._open = False  # so that the end of a client that had left has us accept no more
        self._stop_accepting()
        self._bound.remove()
        self._sock.close()
        self._bound, self._sock = bound, bound.sock
        self._open = True
        self._allow_descriptors()
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
        # A timer would still fire while the loop ends, and shut a connection down: shutdown(2)
        # applies to the next process's descriptor as well.
        self._idle.stop()
        self._lingering.close()
        self._pause()
        return [(connection.sock, connection.freeze()) for connection in self._connections]

    def thaw(self, sock: socket.socket, state: ConnectionSnapshot) -> None:
        """Continue with a connection that another process accepted."""
        allow_descriptors(sock, allowed=self.config.wants_descriptors)
        fd = sock.detach()
        connection = self._model.begin(fd, state.pid, state.uid, state.gid)
        self._add(connection)
        connection.thaw(state)
        if state.serial and self._is_plain:
            self.crash_keeper.resume(connection, state.serial)

    def _allow_descriptors(self) -> None:
        """A connection has the listener's setting; it may be older than that, see `thaw`."""
        allow_descriptors(self._sock, allowed=self.config.wants_descriptors)
        if self.config.wants_descriptors:
            self.reactor.interrupt_releases()

    def _exchange(self, connection: Connection) -> None:
        """Continue with an object of the model's type: faults have come, or have gone."""
        self.crash_keeper.unkeep(connection)
        state = connection.freeze()
        sock = connection.release()
        self._connections.discard(connection)
        self._admission.left(connection.uid)
        self.crash_keeper.forget(connection)
        self.thaw(sock, state)

    def _stop_accepting(self) -> None:
        """Let no more clients connect, and accept those that have connected already.

        Those beyond max_connections are closed: they read end of file, not a reset.
        """
        self._pause()
        if self._bound.activated:
            return
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)
            while self._places() > 0:
                if not self.reactor.accept(self._sock, self._admit, 1, self.reactor.ceiling):
                    return
            while True:
                hang_up(self._sock.accept()[0])
                self.counters.errors[Reason.ENDPOINT_STOPPED] += 1

    def serve(self, _events: int) -> None:
        """Accept clients; see Handler."""
        # In trouble, to find out whether another client waits.
        most = _ACCEPTS if self._in_trouble else self._accepts
        most = min(most, self._places())
        if most <= 0:
            self._pause()
            self._accept_recovered()
        elif not self.reactor.has_free_descriptor():
            self._accept_failed(OSError(errno.EMFILE, ""))
        else:
            reactor = self.reactor
            try:
                accepted = reactor.accept(self._sock, self._admit, most, reactor.ceiling - 1)
            except OSError as error:
                self._accept_failed(error)
                return
            if not reactor.has_free_descriptor():  # the last one may have ended it
                self._accept_failed(OSError(errno.EMFILE, ""))
            elif accepted < most:
                self._accept_recovered()
            more = 2 * most if accepted == most else accepted
            self._accepts = max(1, min(_ACCEPTS, more))

    def _accept_failed(self, error: OSError) -> None:
        # ECONNABORTED and the like concern one client that has gone; the next accept may succeed.
        if error.errno in _LASTING:
            self.counters.errors[Reason.ACCEPT_FAILED] += 1
            self._pause()
            self._pause_timer = self.reactor.loop.call_later(_PAUSE, self._pause_over)
            self._in_trouble = True
            self._trouble(f"accept failed: {os.strerror(error.errno or 0)} ({error.errno})")

    def _accept_recovered(self) -> None:
        if self._in_trouble:
            self._in_trouble = False
            self._trouble("")

    def _admit(self, fd: int, pid: int, uid: int, gid: int) -> Connection | None:
        """Return the connection of a client, or None for one that is refused."""
        self.reactor.note_fd(fd)
        if not self._admission.admits(fd, pid, uid, gid):
            return None
        self.counters.accepted += 1
        connection = self._model.like(fd, pid, uid, gid, self.reactor.now)
        self._add(connection)
        return connection

    def _add(self, connection: Connection) -> None:
        self._admission.entered(connection.uid)
        self._empty.clear()
        self._connections.add(connection)
        if self._is_plain:
            self.crash_keeper.enter(connection)
        self._idle.connected()

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
        if self._accepting or not self._open or self._places() <= 0:
            return
        if self._pause_timer is not None:
            self._pause_timer.cancel()
            self._pause_timer = None
        self.reactor.register(self._sock.fileno(), select.EPOLLIN, self)
        self._accepting = True
        if self._in_trouble:
            self.serve(select.EPOLLIN)  # the listener is readable only when a next client comes


def _kind(config: EndpointConfig) -> type[Connection]:
    """Return the type of an endpoint's connections."""
    if config.type == "stream":
        return StreamConnection if config.is_plain else StepwiseStream
    return SeqpacketConnection if config.is_plain else StepwiseRecords
