"""The interceptor of the control server: it authorizes, limits and tracks every call."""

import asyncio
import logging
from collections import Counter
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
from localechod.control.messages import ControlStatus
from localechod.control.turns import Turns
from localechod.control.wire_errors import cut, metadata_of
from localechod.echo.events import Event
from localechod.echo.peer_log import NOBODY, PeerLog, Topic
from localechod.echo.reasons import Reason
from localechod.echo.supervisor import UnknownEndpointError
from localechod.errors import ConfigError, LocalechodError, NotPermittedError, UsageError
from localechod.localsocket.peer import Credentials, command
from localechod.text import escape

REFUSED_MESSAGE_ID = "5c1a55a3d7c24d2e8a4f0e5d1f9f7b61"

# The first that fits. Errors without a better status are failed preconditions, such as an endpoint
# that cannot be bound or a change that needs a restart.
STATUS: tuple[tuple[type[LocalechodError], Status], ...] = (
    (UnknownEndpointError, Status.NOT_FOUND),
    (UsageError, Status.INVALID_ARGUMENT),
    (ConfigError, Status.INVALID_ARGUMENT),
    (NotPermittedError, Status.PERMISSION_DENIED),
    (LocalechodError, Status.FAILED_PRECONDITION),
)

# How a call is counted that grpclib or our codec could not read.
UNREADABLE = {
    Status.RESOURCE_EXHAUSTED: Reason.TOO_LONG,
    Status.INVALID_ARGUMENT: Reason.INVALID_REQUEST,
}

_REFUSED = Topic(name="control")
_DEFECT = Topic(name="control defect", level=logging.ERROR, prefix="control connection: ")

Method = Callable[[Stream[Any, Any]], Awaitable[None]]


class Interceptor:
    """Decides about calls, and tracks open connections and calls.

    Args:
        admins: the users and groups that may make changes; may be replaced at any time.
        limits: the connections and calls that each user may have.
        publish: publishes refusals as events.
        peer_log: where their lines go.

    Attributes:
        errors: how many connections and calls were refused or have failed, by reason.
    """

    def __init__(
        self,
        admins: Admins,
        limits: CallerLimits,
        publish: Callable[[Event], None],
        peer_log: PeerLog,
    ) -> None:
        self.admins = admins
        self.limits = limits
        self.calls: set[asyncio.Task[Any]] = set()
        self.connections: dict[asyncio.Transport, asyncio.Future[None]] = {}
        self.errors: Counter[str] = Counter()
        self.closing = False
        self._publish = publish
        self.turns = Turns()
        self._peer_log = peer_log

    def refuse(self, who: Credentials, method: str, reason: Reason, why: str) -> None:
        """Count a refusal, log it, and publish it as an event, with caller and method.

        As on an endpoint, a user's first refusal is logged at once; later ones are logged with
        their number, at most every ten seconds.
        """
        self.errors[reason] += 1
        asked = cut(escape(method), 100)  # the caller may send a name of any length

        def text() -> str:
            process = f"pid {who.pid} ({command(who.pid) or 'unknown'})"
            user = f"user {user_name(who.uid)} (uid {who.uid})"
            return f"control {asked} refused: {why}; {process}, {user}"

        fields = {
            "PEER_PID": str(who.pid),
            "PEER_UID": str(who.uid),
            "METHOD": asked,
            "MESSAGE_ID": REFUSED_MESSAGE_ID,
        }
        said = self._peer_log.write(_REFUSED, who.uid, text, fields)
        if said is not None:
            self._publish(Event("refused", "", said, uid=who.uid, pid=who.pid))

    def refuse_again(self, uid: int, reason: Reason, count: int) -> None:
        """Count refusals of a user that follow at once upon one for which `refuse` was called."""
        self.errors[reason] += count
        self._peer_log.leave_out(_REFUSED, uid, count)

    def status(self) -> ControlStatus:
        """Describe the control socket."""
        return ControlStatus(connections=len(self.connections), errors=dict(self.errors))

    def defect(self, error: Exception) -> None:
        """Count and report an exception that nothing expected."""
        self.errors[Reason.INTERNAL_ERROR] += 1
        self._peer_log.write(_DEFECT, NOBODY, lambda: "internal error", error=error)

    async def hang_up(self, grace: float) -> None:
        """Close every connection, after the peers have read what was sent to them.

        Args:
            grace: seconds after which connections with unread data are aborted.
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
        """Pass one call to its function, or refuse it.

        Raises:
            GRPCError: a limit refuses it, or the request cannot be read.
        """
        who = CREDENTIALS.get()
        if self.closing:
            raise GRPCError(Status.UNAVAILABLE, "localechod is shutting down")
        if excess := self.limits.call(who.uid):
            self.errors[excess.reason] += 1
            raise GRPCError(Status.RESOURCE_EXHAUSTED, excess.text)
        task = cast("asyncio.Task[Any]", asyncio.current_task())  # grpclib makes one for each call
        self.calls.add(task)
        task.add_done_callback(self.calls.discard)
        try:
            await self.turns.wait(who.uid)
            await self._decided(who, method, function, stream)
        except LocalechodError as error:
            status = next(status for kind, status in STATUS if isinstance(error, kind))
            await stream.send_trailing_metadata(
                status=status, status_message=cut(str(error)), metadata=metadata_of(error)
            )
        except (AssertionError, NotImplementedError) as error:
            # grpclib raises these for a request that is missing, truncated or compressed. Anyone
            # may send one, so it must not put a traceback into the journal.
            self.errors[Reason.INVALID_REQUEST] += 1
            cause = f"the request cannot be read: {error or 'it is missing'}"
            raise GRPCError(Status.INVALID_ARGUMENT, cause) from None
        except GRPCError as error:
            if error.status in UNREADABLE:
                self.errors[UNREADABLE[error.status]] += 1
            raise
        except Exception:
            self.errors[Reason.INTERNAL_ERROR] += 1
            raise  # grpclib logs it
        finally:
            self.limits.end_call(who.uid)

    async def _decided(
        self, who: Credentials, method: str, function: Method, stream: Stream[Any, Any]
    ) -> None:
        decision = decide(who, method, self.admins)
        if not decision.allowed:
            known = method in METHOD_RIGHTS
            reason = Reason.NOT_PERMITTED if known else Reason.UNKNOWN_METHOD
            self.refuse(who, method, reason, decision.reason)
            if not known:
                raise GRPCError(Status.UNIMPLEMENTED, decision.reason)
            raise NotPermittedError(
                f"{method.rpartition('/')[2].lower()} refused: {decision.reason}",
                "use sudo, or add your user to [control] admins",
            )
        CALLER.set(Caller(who, decision.admin))
        await function(stream)


class InterceptedMethods(dict[str, Handler]):
    """The methods of services, where grpclib looks them up; each calls the interceptor first.

    Unknown methods are found as well. grpclib would reply to them before the caller can be logged,
    and without the content type that clients require.
    """

    def __init__(self, interceptor: Interceptor, services: Collection[Any]) -> None:
        self._interceptor = interceptor
        for service in services:
            for method, handler in service.__mapping__().items():
                self[method] = handler._replace(
                    func=partial(interceptor.call, method, handler.func)
                )

    def get(self, method: str, _default: object = None) -> Handler:
        """Return the handler of a method, or a handler that refuses."""
        return self[method] if method in self else self._unknown(method)

    def _unknown(self, method: str) -> Handler:
        function = partial(self._interceptor.call, method, _unserved)
        return Handler(function, Cardinality.STREAM_STREAM, bytes, bytes)


async def _unserved(_: Stream[Any, Any]) -> None:
    """Refuse a method that is in the access table, but in no service."""
    raise GRPCError(Status.UNIMPLEMENTED, "there is no such method")
