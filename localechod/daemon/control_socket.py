"""The control socket's life in the daemon: kept or bound, served, closed, removed."""

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
from localechod.localsocket.address import Address
from localechod.localsocket.adopt import adopt
from localechod.localsocket.bind import Bound, Request, bind

log = logging.getLogger("localechod.control")

# The control socket is for people and their tools; they are few.
_BACKLOG = 64

# Seconds that control calls under way have at the end.
_GRACE = 1.0


class ControlSocket:
    """Closing and removing are two steps: a restart closes it, and its successor has it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._bound: Bound | None = None
        self._server: ControlServer | None = None

    async def open(
        self, daemon: Daemon, config: ControlConfig, owner: Owner, kept: Sequence[int]
    ) -> str:
        """Serve on it; the endpoints serve without it, if it comes to that.

        Args:
            daemon: what the calls are about.
            config: where it is, who may connect, and who may change things.
            owner: who owns its file.
            kept: descriptors of the one that an earlier process has bound.

        Returns:
            What went wrong, or "".
        """
        request = Request(
            address=Address.parse(config.path),
            type=socket.SOCK_STREAM,
            mode=config.bits,
            uid=owner.uid,
            gid=owner.gid,
            backlog=_BACKLOG,
        )
        try:
            bound = self._bind(request, kept)
        except LocalechodError as error:
            failure = f"control socket: {error}"
            log.error("%s", failure)  # noqa: TRY400 - the machine's fault, not the program's
            return failure
        self._bound = bound
        self._store.keep(CONTROL, bound.sock.fileno())
        self._server = ControlServer(daemon, admins=config.admins, own_uid=os.geteuid())
        await self._server.start(bound.sock)
        return ""

    def resolve_admins(self) -> None:
        """Look the administrators' names up again."""
        if self._server is not None:
            self._server.resolve_admins()

    async def close(self) -> None:
        """Serve nobody any more; who connects waits for the next process, if there is one."""
        server, self._server = self._server, None
        if server is not None:
            await server.close(_GRACE)

    def remove(self) -> None:
        """Remove it for good, after `close`: from the store, and its file."""
        bound, self._bound = self._bound, None
        if bound is not None:
            self._store.drop(CONTROL)
            bound.remove()

    def _bind(self, request: Request, kept: Sequence[int]) -> Bound:
        for descriptor in kept:
            try:
                return adopt(descriptor, request)
            except (LocalechodError, OSError) as error:
                log.warning("control socket: bound anew: %s", error)
                self._store.drop(CONTROL)
        return bind(request)
