"""One endpoint: its configuration, its state, its socket, and who serves it."""

import errno
import socket
import time
from collections.abc import Sequence

from localechod.accounts import group_name, user_name
from localechod.config import EndpointConfig
from localechod.echo.activated import HINT, ActivatedSocket
from localechod.echo.binding import Opened, Owner, open_socket, request
from localechod.echo.context import Context
from localechod.echo.datagram.server import DatagramServer
from localechod.echo.lifecycle import State, Trigger, after
from localechod.echo.persist.snapshot import EndpointSnapshot
from localechod.echo.status import EndpointStatus, PeerRow
from localechod.echo.stream.connection import hang_up
from localechod.echo.stream.listener import Listener
from localechod.errors import LocalechodError, SocketError
from localechod.localsocket.bind import Bound, Request
from localechod.localsocket.filecheck import File


class Endpoint:
    """One named echo service and its life.

    The supervisor decides what happens to it, and the warden keeps it that way.

    Attributes:
        bound: its socket, while it serves.
        wanted: what `bound` has to be, unless it is lent.
        lease: of a socket that was lent; None where it binds its own.
        next_attempt: when it will be tried to make it whole again, by time.monotonic(), if time is
            what that waits for.
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
        self._context = context
        self._owner = owner
        self._server: Listener | DatagramServer | None = None
        # What keeps it from serving everyone, by kind; as long as there is any, it is degraded.
        self._troubles: dict[str, LocalechodError] = {}

    def start(self, opened: Opened | None = None) -> None:
        """Bind and serve; a refusal ends in `failed` with `error` set, and is not raised.

        Args:
            opened: a socket that was bound before, or what refused it then.
        """
        self._transition(Trigger.START)
        opened = self._bind() if opened is None else opened
        if isinstance(opened, LocalechodError):
            self._transition(Trigger.REFUSED, opened)
        else:
            self._serve(opened)

    def activate(self, passed: Bound) -> None:
        """Take a socket that was lent, and turn away whoever comes, until the endpoint starts."""
        self.activated = ActivatedSocket(self._context.reactor, self.counters, passed)
        self.activated.turn_away()

    def retry(self) -> LocalechodError | None:
        """Try once more to start what has failed; the same reason as before is not told again.

        Returns:
            What refused it, or None if it serves now.
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
        """Bind once more, and go on with the new socket; connections stay.

        Raises:
            LocalechodError: it could not be bound; the old socket goes on.
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
            SocketError: we may not.
        """
        if self.bound is not None:
            self.bound.restore(self.wanted)

    def set_trouble(self, kind: str, error: LocalechodError) -> None:
        """Something keeps it from serving everyone; what is known already is not told again."""
        known = self._troubles.get(kind)
        self._troubles[kind] = error
        if known is None or known.text != error.text:
            self._transition(Trigger.TROUBLE, error)
        self.error = error

    def has_trouble(self, kind: str) -> bool:
        """Whether this kind of trouble is known."""
        return kind in self._troubles

    def clear_trouble(self, kind: str) -> None:
        """That trouble is over, if there was any."""
        if self._troubles.pop(kind, None) is None:
            return
        if self._troubles:
            self.error = next(iter(self._troubles.values()))
        else:
            self._transition(Trigger.RECOVERED)

    def _bind(self) -> Opened:
        try:
            if self.activated is not None:
                return self.activated.bound()
            return open_socket(self.config, self._owner)
        except LocalechodError as error:
            return error

    def _serve(self, bound: Bound) -> None:
        if self.activated is not None:
            self.activated.serve()
        try:
            if self.config.type == "datagram":
                self._server = DatagramServer(self._context, self.config, bound)
            else:
                self._server = Listener(self._context, self.config, bound, self._trouble)
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
        if bound.lent:
            return  # its owner has it in any case, and decides about the file
        self.wanted = request(self.config, self._owner)
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

    def close(self) -> None:
        """Give back what it was served with; after `stop`, and for good."""
        if self.activated is not None:
            self.activated.close()
        self._context.reactor.close()

    def freeze(self) -> tuple[EndpointSnapshot, list[socket.socket]]:
        """Describe it for the process that goes on with it, and its connections' sockets."""
        frozen = [] if self._server is None else self._server.freeze()
        state = EndpointSnapshot(
            config=self.config,
            counters=self.counters.freeze(),
            errors=dict(self.counters.errors),
            connections=tuple(connection for _, connection in frozen),
        )
        return state, [sock for sock, _ in frozen]

    def thaw(self, state: EndpointSnapshot, sockets: Sequence[socket.socket]) -> None:
        """Go on where another process stopped; clients that cannot be served read end of file."""
        self.counters.thaw(state.counters, state.errors)
        same = state.config.type == self.config.type
        alike = [(one.framing, one.record_size) for one in (state.config, self.config)]
        for sock, connection in zip(sockets, state.connections, strict=True):
            # Where the end of a lost message is under another framing, nobody knows.
            fits = same and (not connection.skip or alike[0] == alike[1])
            if fits and isinstance(self._server, Listener):
                self._server.thaw(sock, connection)
            else:
                self.counters.add(connection)
                hang_up(sock)

    def configure(self, config: EndpointConfig) -> None:
        """Go on under settings that need no other socket."""
        self.config = config
        if self._server is not None:
            self._server.configure(config)

    def shut(self) -> None:
        """First half of a drain: nobody new is let in."""
        if self._server is not None:
            self._server.shut()

    async def drain(self) -> None:
        """Second half: return when everyone who was in has been answered and has left."""
        if self._server is not None:
            await self._server.drain()

    def peers(self) -> list[PeerRow]:
        """Describe who is connected."""
        return [] if self._server is None else self._server.peers()

    def status(self) -> EndpointStatus:
        """Describe the endpoint."""
        config, address = self.config, self.config.address
        counters = self.counters if self._server is None else self._server.totals()
        mode, owner, group = self._file()
        return EndpointStatus(
            name=config.name,
            type=config.type,
            state=str(self.state),
            path=str(address),
            mode=mode,
            owner=owner,
            group=group,
            framing=config.framing if config.type == "stream" else "",
            connections=0 if self._server is None else len(self._server),
            accepted_total=counters.accepted,
            messages_total=counters.messages,
            received_bytes_total=counters.received_bytes,
            sent_bytes_total=counters.sent_bytes,
            errors=dict(counters.errors),
            error=None if self.error is None else self.error.text,
            hint=self._hint(),
            restarts_total=counters.restarts,
        )

    def _file(self) -> tuple[str, str, str]:
        """Return the socket file's mode, owner and group: as they were made, or found if lent."""
        config = self.config
        if config.address.is_abstract:
            return "", "", ""
        if self.bound is not None and self.bound.lent and self.bound.file is not None:
            found = File.of(self.bound.file.status)
            return f"{found.mode:04o}", user_name(found.uid), group_name(found.gid)
        owner = config.user or user_name(self._owner.uid)
        return config.mode, owner, config.group or group_name(self._owner.gid)

    def _trouble(self, reason: str) -> None:
        """The listener cannot accept any more, or (no reason) can again."""
        if reason:
            error = LocalechodError(reason, "connections are accepted as others close")
            self.set_trouble("accept", error)
        else:
            self.clear_trouble("accept")

    def _hint(self) -> str | None:
        hints = [] if self.error is None else [self.error.hint]
        if self.next_attempt is not None:
            left = max(0.0, self.next_attempt - time.monotonic())
            hints.append(f"next attempt in {left:.0f} s")
        if self.activated is not None and self.state is State.STOPPED:
            hints.append(HINT)
        return "; ".join(filter(None, hints)) or None

    def _transition(self, trigger: Trigger, error: LocalechodError | None = None) -> None:
        self.state = after(self.state, trigger)
        self.error = error
        text = (
            f"{self.state} on {self.config.address}" if error is None else f"{self.state}: {error}"
        )
        self._context.endpoint_log.state(self.state, text)
