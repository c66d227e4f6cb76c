"""The caller of the current call."""

from contextvars import ContextVar
from dataclasses import dataclass

from localechod.localsocket.peer import Credentials


@dataclass(frozen=True, slots=True)
class Caller:
    """The kernel's credentials of a caller, and whether it is an administrator."""

    credentials: Credentials
    admin: bool


# grpclib starts a task for each request, and a task inherits the context that it is created in. The
# connection reads the credentials when it is accepted and sets them here, so that no call has to
# find them in grpclib's private attributes.
CREDENTIALS: ContextVar[Credentials] = ContextVar("CREDENTIALS")
CALLER: ContextVar[Caller] = ContextVar("CALLER")


def current() -> Caller:
    """Return the caller.

    Raises:
        LookupError: no call is running in this context.
    """
    return CALLER.get()
