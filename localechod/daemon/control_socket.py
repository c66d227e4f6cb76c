"""The control socket in the daemon: stored or bound, served, closed, removed."""

import logging
import os
import socket
from collections.abc import Sequence

from localechod.config import ControlConfig
from localechod.control.server import ControlServer
from localechod.control.service import Daemon
from localechod.daemon.inherited import CONTROL
from localechod.echo.binding import Owner
from localechod.errors import LocalechodError
from localechod.host.fdstore import Store
from localechod.limits import CONTROL_BACKLOG
from localechod.localsocket.address import Address
from localechod.localsocket.adopt import adopt
from localechod.localsocket.bind import bind
from localechod.localsocket.bound import Bound, Request

log = logging.getLogger("localechod.control")

# Seconds in which control calls in progress may finish at the end.
_GRACE = 1.0


class ControlSocket:
    """The control socket. A restart closes it without removing it: the next process serves it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bound: Bound | None = None
        self._server: ControlServer | None = None

    def open(self, config: ControlConfig, owner: Owner, stored: Sequence[int]) -> str:
        """Bind it; clients wait until `serve`. If that fails, the endpoints serve without it.

        Args:
            config: its path and its mode.
            owner: owner of its file.
            stored: descriptors of the socket that an earlier process has bound.

        Returns:
            The error, or "".
        """
        request = Request(
            address=Address.parse(config.path),
            type=socket.SOCK_STREAM,
            mode=config.bits,
            uid=owner.uid,
            gid=owner.gid,
            backlog=CONTROL_BACKLOG,
        )
        try:
            bound = self._bind(request, stored)
        except LocalechodError as error:
            failure = f"control socket: {error}"
            log.error("%s", failure)  # noqa: TRY400 - the machine's fault, not the program's
            return failure
        self._bound = bound
        self._store.keep(CONTROL, bound.sock.fileno())
        return ""

    async def serve(self, daemon: Daemon, admins: Sequence[str]) -> None:
        """Answer calls, if it could be bound.

        Args:
            daemon: the object of the calls.
            admins: the administrators; see ControlConfig.
        """
        if self._bound is not None:
            self._server = ControlServer(daemon, admins=admins, own_uid=os.geteuid())
            await self._server.start(self._bound.sock)

    def resolve_admins(self) -> None:
        """Look the administrators' names up again."""
        if self._server is not None:
            self._server.resolve_admins()

    async def close(self) -> None:
        """Stop serving. New clients wait in the backlog for the next process, if there is one."""
        server, self._server = self._server, None
        if server is not None:
            await server.close(_GRACE)

    def remove(self) -> None:
        """Remove it for good, after `close`: its entry in the store and its file."""
        bound, self._bound = self._bound, None
        if bound is not None:
            self._store.drop(CONTROL)
            bound.remove()

    def _bind(self, request: Request, stored: Sequence[int]) -> Bound:
        for descriptor in stored:
            try:
                return adopt(descriptor, request)
            except (LocalechodError, OSError) as error:
                log.warning("control socket: bound anew: %s", error)
                self._store.drop(CONTROL)
        return bind(request)
