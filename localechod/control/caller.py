"""Who makes the call that runs now."""

from contextvars import ContextVar
from dataclasses import dataclass

from localechod.localsocket.peer import Credentials


@dataclass(frozen=True, slots=True)
class Caller:
    """The other end of a call: what the kernel says of it, and what the access table does."""

    credentials: Credentials
    admin: bool


# grpclib starts a task for each request, and a task inherits the context it is created in. So the
# connection, which read the credentials when it was accepted, leaves them here, and nothing has to
# be dug out of grpclib's private attributes later.
CREDENTIALS: ContextVar[Credentials] = ContextVar("CREDENTIALS")
CALLER: ContextVar[Caller] = ContextVar("CALLER")


def current() -> Caller:
    """Return the caller; only within a call."""
    return CALLER.get()
