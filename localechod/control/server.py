"""The control plane's server: grpclib on a socket that somebody else has bound.

Binding, owner and mode are not decided here: they are those of every other socket of the daemon,
and grpc libraries that bind by path take over live sockets and leave the mode to the umask.
"""

import asyncio
import logging
import socket
from collections.abc import Collection
from typing import Any

from google.protobuf.message import DecodeError
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.encoding.proto import ProtoCodec
from grpclib.exceptions import GRPCError
from grpclib.protocol import H2Protocol
from grpclib.reflection.service import ServerReflection
from grpclib.server import Server

from localechod.control import admins as names
from localechod.control.connection import Connection
from localechod.control.guard import Guard, GuardedMethods
from localechod.control.health import EndpointHealth
from localechod.control.history import History
from localechod.control.limits import WINDOW_BYTES, Bounds
from localechod.control.service import ControlService, Daemon

_BACKLOG = 128


class ControlServer:
    """Serves localechod.v1, health and reflection to whoever the access table lets.

    Args:
        daemon: what the calls are about.
        admins: users and @groups who may change things.
        own_uid: the uid the daemon runs as, which always may.
    """

    def __init__(self, daemon: Daemon, admins: Collection[str], own_uid: int) -> None:
        self._daemon = daemon
        self._names = tuple(admins)
        self._own_uid = own_uid
        bounds = Bounds({0, own_uid})
        found = names.resolve(self._names, own_uid)
        self._guard = Guard(found, bounds, daemon.supervisor.events.publish)

    async def start(self, sock: socket.socket) -> None:
        """Serve on a listening stream socket, which is closed by `close`."""
        self._history = History(self._daemon.supervisor.events)
        supervisor = self._daemon.supervisor
        self._service = ControlService(self._daemon, self._history)
        health = EndpointHealth(
            lambda: {row.name: row.state for row in supervisor.status()}, self._history
        )
        services = ServerReflection.extend([self._service, health])
        self._server = _Server(self._guard, services)
        await self._server.start(sock=sock, backlog=_BACKLOG)

    def resolve_admins(self) -> None:
        """Look the administrators' names up again: accounts may have come since the last time."""
        self._guard.admins = names.resolve(self._names, self._own_uid)

    async def close(self, grace: float) -> None:
        """Stop serving: new calls are refused, streams of events end, calls may end in peace.

        Args:
            grace: seconds that calls under way have before they are cancelled.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        self._guard.closing = True
        await self._history.close()
        if self._guard.calls:
            await asyncio.wait(self._guard.calls, timeout=grace)
        self._server.close()
        await self._guard.hang_up(deadline - loop.time())
        await self._server.wait_closed()


class _Server(Server):
    """grpclib's server with our own connections, and an answer of ours for every method.

    `_protocol_factory` and `_mapping` are the two private names of grpclib's server that this
    package relies on; tests fail if a new version of grpclib no longer uses them.
    """

    def __init__(self, guard: Guard, services: Collection[Any]) -> None:
        # At level "info" grpclib tells of every client that hangs up, as `localechoctl wait` does;
        # at "debug" hpack tells of every header.
        for library in ("grpclib", "hpack"):
            logging.getLogger(library).setLevel(logging.WARNING)
        window = WINDOW_BYTES
        super().__init__(
            [],
            codec=_RequestCodec(),
            config=Configuration(
                http2_connection_window_size=window, http2_stream_window_size=window
            ),
        )
        self._guard = guard
        self._mapping = GuardedMethods(guard, services)

    def _protocol_factory(self) -> H2Protocol:
        return Connection(super()._protocol_factory(), self._guard)


class _RequestCodec(ProtoCodec):
    """Tells the caller, and not the journal, that its request is no protobuf message."""

    def decode(self, data: bytes, message_type: Any) -> Any:
        """Return the message, or refuse."""
        try:
            return super().decode(data, message_type)
        except DecodeError:
            cause = f"the request is no {message_type.DESCRIPTOR.full_name}"
            raise GRPCError(Status.INVALID_ARGUMENT, cause) from None
