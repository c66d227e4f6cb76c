"""The control server: grpclib on a listening socket that the daemon has bound.

The daemon binds it like its other sockets and sets owner and mode. gRPC libraries that bind by path
take over live sockets and leave the mode to the umask.
"""

import asyncio
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
from localechod.control.connection import ControlConnection
from localechod.control.event_history import EventHistory
from localechod.control.health import EndpointHealth
from localechod.control.interceptor import InterceptedMethods, Interceptor
from localechod.control.library_log import LibraryLog
from localechod.control.limits import CallerLimits
from localechod.control.service import ControlService, Daemon
from localechod.limits import WINDOW_BYTES

_BACKLOG = 128


class ControlServer:
    """Serves localechod.v1, health and reflection, as far as the access table allows.

    Args:
        daemon: the daemon that the calls read and change.
        admins: users and @groups that may make changes.
        own_uid: the uid that the daemon runs as; see admins.resolve.
    """

    def __init__(self, daemon: Daemon, admins: Collection[str], own_uid: int) -> None:
        self._daemon = daemon
        self._names = tuple(admins)
        self._own_uid = own_uid
        found = names.resolve(self._names, own_uid)
        limits = CallerLimits({0, own_uid} if own_uid in found.uids else {0})
        supervisor = daemon.supervisor
        self._libraries = LibraryLog(supervisor.peer_log)
        self._interceptor = Interceptor(
            found, limits, supervisor.events.publish, supervisor.peer_log
        )

    async def start(self, sock: socket.socket) -> None:
        """Serve on a listening stream socket, which is closed by `close`."""
        self._history = EventHistory(self._daemon.supervisor.events)
        supervisor = self._daemon.supervisor
        inner = self._interceptor
        self._service = ControlService(self._daemon, inner.status, self._history, inner.turns)
        health = EndpointHealth(supervisor.states, self._history)
        services = ServerReflection.extend([self._service, health])
        self._server = _Server(self._interceptor, services)
        self._libraries.attach()
        await self._server.start(sock=sock, backlog=_BACKLOG)

    def resolve_admins(self) -> None:
        """Look the administrators' names up again; accounts may have been added since."""
        self._interceptor.admins = names.resolve(self._names, self._own_uid)

    async def close(self, grace: float) -> None:
        """Stop serving: refuse new calls, end event streams, and let running calls finish.

        Args:
            grace: seconds after which running calls are cancelled.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        self._interceptor.closing = True
        await self._history.close()
        if self._interceptor.calls:
            await asyncio.wait(self._interceptor.calls, timeout=grace)
        self._server.close()
        await self._interceptor.hang_up(deadline - loop.time())
        await self._server.wait_closed()
        self._libraries.detach()


class _Server(Server):
    """grpclib's server with ControlConnection and InterceptedMethods.

    `_protocol_factory` and `_mapping` are the only private names of grpclib's server that this
    package relies on. test_control_server.py fails where grpclib no longer uses them.
    """

    def __init__(self, interceptor: Interceptor, services: Collection[Any]) -> None:
        window = WINDOW_BYTES
        super().__init__(
            [],
            codec=_RequestCodec(),
            config=Configuration(
                http2_connection_window_size=window, http2_stream_window_size=window
            ),
        )
        self._interceptor = interceptor
        self._mapping = InterceptedMethods(interceptor, services)

    def _protocol_factory(self) -> H2Protocol:
        return ControlConnection(super()._protocol_factory(), self._interceptor)


class _RequestCodec(ProtoCodec):
    """Reports an undecodable request to the caller, and not as a traceback in the journal."""

    def decode(self, data: bytes, message_type: Any) -> Any:
        """Return the message.

        Raises:
            GRPCError: INVALID_ARGUMENT, the request cannot be decoded.
        """
        try:
            return super().decode(data, message_type)
        except DecodeError:
            cause = f"the request is not a {message_type.DESCRIPTOR.full_name}"
            raise GRPCError(Status.INVALID_ARGUMENT, cause) from None
