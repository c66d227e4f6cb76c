"""One endpoint: its configuration, its state, its socket, and the server of that socket."""

import errno
import socket
from collections.abc import Iterator, Sequence

from localechod.config import EndpointConfig
from localechod.echo.activated import ActivatedSocket
from localechod.echo.binding import Opened, Owner, open_socket, request
from localechod.echo.context import Context
from localechod.echo.datagram.server import DatagramServer
from localechod.echo.description import describe
from localechod.echo.lifecycle import State, Trigger, after
from localechod.echo.persist.snapshot import EndpointSnapshot
from localechod.echo.status import EndpointStatus, PeerRow
from localechod.echo.stream.listener import Listener
from localechod.errors import LocalechodError, SocketError
from localechod.localsocket.bound import Bound, Request
from localechod.localsocket.closing import hang_up

# The kind of trouble that clients cause.
ACCEPT = "accept"


class Endpoint:
    """One named echo service.

    The supervisor starts, stops and configures it; the monitor keeps it serving.

    Attributes:
        owner: owns its socket file, unless its configuration names another owner.
        bound: its socket, while it serves.
        wanted: how `bound` was bound, unless the socket is activated.
        activated: the socket that systemd has bound for it; None if it binds its own.
        next_attempt: when a timer tries next to repair it, by time.monotonic(); else None.
    """

    wanted: Request

    def __init__(self, config: EndpointConfig, context: Context, owner: Owner) -> None:
        self.config = config
        self.state = State.STOPPED
        self.error: LocalechodError | None = None
        self.bound: Bound | None = None
        self.activated: ActivatedSocket | None = None
        self.next_attempt: float | None = None
        self.counters = context.counters
        self.owner = owner
        self._context = context
        self._server: Listener | DatagramServer | None = None
        # Why it does not serve every client, by kind of trouble: degraded while there is any.
        self._troubles: dict[str, LocalechodError] = {}

    def start(self, opened: Opened | None = None) -> None:
        """Bind and serve; on an error the endpoint is `failed`, with `error`, which is not raised.

        Args:
            opened: a socket that was bound before, or the error of that attempt.
        """
        self._transition(Trigger.START)
        opened = self._bind() if opened is None else opened
        if isinstance(opened, LocalechodError):
            self._transition(Trigger.REFUSED, opened)
        else:
            self._serve(opened)

    def activate(self, passed: Bound) -> None:
        """Take a socket that systemd has bound; its clients are turned away until `start`."""
        self.activated = ActivatedSocket(self._context.reactor, self.counters, passed)
        self.activated.turn_away()

    def retry(self) -> LocalechodError | None:
        """Try once more to start an endpoint that has failed; the same error is not logged again.

        Returns:
            The error, or None if the endpoint serves now.
        """
        opened = self._bind()
        if not isinstance(opened, LocalechodError):
            self.counters.restarts += 1
            self._transition(Trigger.START)
            self._serve(opened)
            return self.error
        if self.error is None or opened.text != self.error.text:
            self._transition(Trigger.REFUSED, opened)
        self.error = opened
        return opened

    def rebind(self) -> None:
        """Bind once more, and continue with the new socket; connections stay.

        Raises:
            LocalechodError: it could not be bound; the old socket is still served.
        """
        opened = self._bind()
        if isinstance(opened, LocalechodError):
            raise opened
        self.counters.restarts += 1
        self._context.store.remove(self.config.name)
        if self._server is not None:
            self._server.rebind(opened)
        self._own(opened)

    def restore(self) -> None:
        """Give the socket's file its owner and mode again.

        Raises:
            SocketError: this process may not change them.
        """
        if self.bound is not None:
            self.bound.restore(self.wanted)

    def set_trouble(self, kind: str, error: LocalechodError) -> None:
        """Note why not every client is served; an error that is known is not logged again."""
        known = self._troubles.get(kind)
        self._troubles[kind] = error
        if known is None or known.text != error.text:
            self._transition(Trigger.TROUBLE, error, by_peers=kind == ACCEPT)
        self.error = error

    def has_trouble(self, kind: str) -> bool:
        """Whether there is trouble of this kind."""
        return kind in self._troubles

    def clear_trouble(self, kind: str) -> None:
        """Note that trouble of this kind is over, if there was any."""
        if self._troubles.pop(kind, None) is None:
            return
        if self._troubles:
            self.error = next(iter(self._troubles.values()))
        else:
            self._transition(Trigger.RECOVERED, by_peers=kind == ACCEPT)

    def _bind(self) -> Opened:
        try:
            if self.activated is not None:
                return self.activated.bound()
            return open_socket(self.config, self.owner)
        except LocalechodError as error:
            return error

    def _serve(self, bound: Bound) -> None:
        if self.activated is not None:
            self.activated.stand_back()
        try:
            if self.config.type == "datagram":
                self._server = DatagramServer(self._context, self.config, bound)
            else:
                self._server = Listener(self._context, self.config, bound, self._accept_trouble)
        except OSError as error:  # ENOSPC or ENOMEM, epoll_ctl(2)
            bound.remove()
            bound.sock.close()
            if self.activated is not None:
                self.activated.turn_away()
            number = error.errno or errno.EIO
            self._transition(Trigger.REFUSED, SocketError("epoll_ctl", number, str(bound.address)))
            return
        self._own(bound)
        self._transition(Trigger.BOUND)

    def _own(self, bound: Bound) -> None:
        self.bound = bound
        if bound.activated:
            return  # systemd has this socket already, and its unit sets owner and mode of the file
        self.wanted = request(self.config, self.owner)
        self._context.store.put(self.config.name, bound.sock.fileno())

    def stop(self) -> None:
        """Close the socket and every connection; what was received is answered first."""
        server, self._server, self.bound = self._server, None, None
        self._troubles.clear()
        if server is not None:
            self._context.store.remove(self.config.name)
            server.close()
        if self.activated is not None:
            self.activated.turn_away()
        self._transition(Trigger.STOP)

    def die(self) -> None:
        """Stop as if the process had ended: connections close, and the socket's file stays.

        The endpoint may have been stopped, or started again, since it was to die.
        """
        server = self._server
        if server is None or not server.faults.dead:
            return
        self._server = self.bound = None
        self._troubles.clear()
        self._context.store.remove(self.config.name)
        server.die()
        if self.activated is not None:
            self.activated.turn_away()
        after = self.config.faults.die_after
        reason = f"fault die_after: it has died, after {after} messages"
        self._transition(
            Trigger.STOP, LocalechodError(reason, f"localechoctl start {self.config.name}")
        )

    def close(self) -> None:
        """Close what is left open after `stop`; the endpoint cannot be started again."""
        if self.activated is not None:
            self.activated.close()
        self._context.reactor.close()

    def freeze(self) -> tuple[EndpointSnapshot, list[socket.socket]]:
        """Describe the endpoint for the next process; and return its connections' sockets."""
        frozen = [] if self._server is None else self._server.freeze()
        state = EndpointSnapshot(
            config=self.config,
            counters=self.counters.freeze(),
            errors=dict(self.counters.errors),
            faults=dict(self.counters.faults),
            connections=tuple(connection for _, connection in frozen),
        )
        return state, [sock for sock, _ in frozen]

    def thaw(self, state: EndpointSnapshot, sockets: Sequence[socket.socket]) -> None:
        """Continue with what another process's `freeze` returned.

        Connections that cannot be served are closed, so that their clients read end of file.
        """
        self.counters.thaw(state.counters, state.errors, state.faults)
        same = state.config.type == self.config.type
        alike = [(one.framing, one.record_size) for one in (state.config, self.config)]
        for sock, connection in zip(sockets, state.connections, strict=True):
            # The end of a message whose beginning is lost cannot be found under another framing.
            fits = same and (not connection.skip or alike[0] == alike[1])
            if fits and isinstance(self._server, Listener):
                self._server.thaw(sock, connection)
            else:
                hang_up(sock)

    def configure(self, config: EndpointConfig) -> None:
        """Continue with settings that need no other socket."""
        self.config = config
        if self._server is not None:
            self._server.configure(config)

    def shut(self) -> None:
        """First half of a drain: accept no new client."""
        if self._server is not None:
            self._server.shut()

    async def drain(self) -> None:
        """Second half: return when every client has been answered and has left."""
        if self._server is not None:
            await self._server.drain()

    def peers(self, uid: int | None) -> Iterator[PeerRow]:
        """Describe the connected clients of a user, or of all."""
        return iter(()) if self._server is None else self._server.peers(uid)

    def status(self) -> EndpointStatus:
        """Describe the endpoint."""
        return describe(self, self.connections)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return 0 if self._server is None else len(self._server)

    def _accept_trouble(self, reason: str) -> None:
        """Note that the listener cannot accept connections, or (no reason) can again."""
        if reason:
            error = LocalechodError(reason, "connections are accepted as others close")
            self.set_trouble(ACCEPT, error)
        else:
            self.clear_trouble(ACCEPT)

    def _transition(
        self, trigger: Trigger, error: LocalechodError | None = None, *, by_peers: bool = False
    ) -> None:
        self.state = after(self.state, trigger)
        self.error = error
        text = (
            f"{self.state} on {self.config.address}" if error is None else f"{self.state}: {error}"
        )
        self._context.endpoint_log.state(self.state, text, by_peers=by_peers)
