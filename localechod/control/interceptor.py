"""The door of the control plane: every call passes here, is decided, counted, and ends tidily."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, cast

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from localechod.accounts import user_name
from localechod.control.access import METHOD_RIGHTS, Admins, decide
from localechod.control.caller import CALLER, CREDENTIALS, Caller
from localechod.control.limits import CallerLimits
from localechod.control.wire_errors import cut, metadata_of
from localechod.echo.events import Event
from localechod.echo.ratelimit import RateLimit
from localechod.echo.supervisor import UnknownEndpointError
from localechod.errors import ConfigError, LocalechodError, NotPermittedError, UsageError
from localechod.localsocket.peer import Credentials, command
from localechod.text import escape

logger = logging.getLogger(__name__)

REFUSED_MESSAGE_ID = "5c1a55a3d7c24d2e8a4f0e5d1f9f7b61"

# The first that fits. What has no better status is a failed precondition: an endpoint that cannot
# be bound, something that needs a restart.
STATUS: tuple[tuple[type[LocalechodError], Status], ...] = (
    (UnknownEndpointError, Status.NOT_FOUND),
    (UsageError, Status.INVALID_ARGUMENT),
    (ConfigError, Status.INVALID_ARGUMENT),
    (NotPermittedError, Status.PERMISSION_DENIED),
    (LocalechodError, Status.FAILED_PRECONDITION),
)

Method = Callable[[Stream[Any, Any]], Awaitable[None]]


class Interceptor:
    """Decides about calls, and remembers connections and calls while they last.

    Args:
        admins: who may change things; may be replaced at any time.
        limits: how much each user may take.
        publish: where refusals are told as events.
    """

    def __init__(
        self, admins: Admins, limits: CallerLimits, publish: Callable[[Event], None]
    ) -> None:
        self.admins = admins
        self.limits = limits
        self.calls: set[asyncio.Task[Any]] = set()
        self.connections: dict[asyncio.Transport, asyncio.Future[None]] = {}
        self.closing = False
        self._publish = publish
        self._refusals = RateLimit()

    def refuse(self, who: Credentials, method: str, reason: str) -> None:
        """Log a refusal and tell it as an event: who, what, and why.

        As on an endpoint: each user once, then with how often, at most every ten seconds.
        """
        more = self._refusals.note(who.uid, time.monotonic())
        if more is None:
            return
        process = f"pid {who.pid} ({command(who.pid) or 'unknown'})"
        user = f"user {user_name(who.uid)} (uid {who.uid})"
        asked = cut(escape(method), 100)  # an unknown one has any length its caller likes
        text = f"control {asked} refused: {reason}; {process}, {user}{more}"
        fields = {
            "PEER_PID": str(who.pid),
            "PEER_UID": str(who.uid),
            "METHOD": asked,
            "MESSAGE_ID": REFUSED_MESSAGE_ID,
        }
        logger.warning(text, extra={"fields": fields})
        self._publish(Event("refused", "", text, uid=who.uid, pid=who.pid))

    async def hang_up(self, grace: float) -> None:
        """Close every connection; one whose peer does not read what is left, by force.

        Args:
            grace: seconds for what is left to be read.
        """
        lost = list(self.connections.values())
        for transport in list(self.connections):
            transport.close()
        if lost:
            await asyncio.wait(lost, timeout=max(grace, 0))
        for transport in list(self.connections):
            transport.abort()
        if lost:
            await asyncio.wait(lost)

    async def call(self, method: str, function: Method, stream: Stream[Any, Any]) -> None:
        """Let one call through to its function, or refuse it.

        Raises:
            GRPCError: it was refused by a limit, or cannot be read.
        """
        who = CREDENTIALS.get()
        if self.closing:
            raise GRPCError(Status.UNAVAILABLE, "localechod is ending")
        if excess := self.limits.call(who.uid):
            raise GRPCError(Status.RESOURCE_EXHAUSTED, excess)
        task = cast("asyncio.Task[Any]", asyncio.current_task())  # grpclib makes one for each call
        self.calls.add(task)
        task.add_done_callback(self.calls.discard)
        try:
            await self._decided(who, method, function, stream)
        except LocalechodError as error:
            status = next(status for kind, status in STATUS if isinstance(error, kind))
            await stream.send_trailing_metadata(
                status=status, status_message=cut(str(error)), metadata=metadata_of(error)
            )
        except (AssertionError, NotImplementedError) as error:
            # grpclib's words for a request that is missing, cut short, or compressed. Anyone may
            # send one: that deserves an answer and not a traceback in the journal.
            cause = f"the request cannot be read: {error or 'it is missing'}"
            raise GRPCError(Status.INVALID_ARGUMENT, cause) from None
        finally:
            self.limits.end_call(who.uid)

    async def _decided(
        self, who: Credentials, method: str, function: Method, stream: Stream[Any, Any]
    ) -> None:
        decision = decide(who, method, self.admins)
        if not decision.allowed:
            self.refuse(who, method, decision.reason)
            if method not in METHOD_RIGHTS:
                raise GRPCError(Status.UNIMPLEMENTED, decision.reason)
            raise NotPermittedError(
                f"{method.rpartition('/')[2].lower()} refused: {decision.reason}",
                "use sudo, or have yourself added to [control] admins",
            )
        CALLER.set(Caller(who, decision.admin))
        await function(stream)


class InterceptedMethods(dict[str, Handler]):
    """The methods of services as grpclib looks them up, each behind the interceptor.

    An unknown one is found, too: grpclib would answer it before anybody could see who asked, and
    without the content type that clients insist on.
    """

    def __init__(self, interceptor: Interceptor, services: Collection[Any]) -> None:
        self._interceptor = interceptor
        for service in services:
            for method, handler in service.__mapping__().items():
                self[method] = handler._replace(
                    func=partial(interceptor.call, method, handler.func)
                )

    def get(self, method: str, _default: object = None) -> Handler:
        """Return the handler of a method, or one that refuses."""
        return self[method] if method in self else self._unknown(method)

    def _unknown(self, method: str) -> Handler:
        function = partial(self._interceptor.call, method, _unserved)
        return Handler(function, Cardinality.STREAM_STREAM, bytes, bytes)


async def _unserved(_: Stream[Any, Any]) -> None:
    """Answer a method that the access table knows and no service does."""
    raise GRPCError(Status.UNIMPLEMENTED, "there is no such method")
