"""Access control: a table of methods and rights, and the decision about one call. No I/O.

The caller's identity (`Credentials`, from the kernel) is kept apart from the method that it calls.
Every decision carries its reason, for the journal and for the refused caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from localechod.localsocket.peer import Credentials


class Right(Enum):
    """The right that a method needs: LOOK, which every caller has, or CHANGE."""

    LOOK = "look"
    CHANGE = "change"


# Every method, by its full gRPC path. Others are refused: a method that is added to control.proto
# stays closed until its right is decided here.
METHOD_RIGHTS: Mapping[str, Right] = MappingProxyType(
    {
        "/localechod.v1.Control/Status": Right.LOOK,
        "/localechod.v1.Control/Start": Right.CHANGE,
        "/localechod.v1.Control/Stop": Right.CHANGE,
        "/localechod.v1.Control/Restart": Right.CHANGE,
        "/localechod.v1.Control/Reload": Right.CHANGE,
        "/localechod.v1.Control/Peers": Right.LOOK,
        "/localechod.v1.Control/Events": Right.LOOK,
        "/localechod.v1.Control/Config": Right.LOOK,
        "/grpc.health.v1.Health/Check": Right.LOOK,
        "/grpc.health.v1.Health/Watch": Right.LOOK,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": Right.LOOK,
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Right.LOOK,
    }
)


@dataclass(frozen=True, slots=True)
class Admins:
    """The administrators, by number; the daemon's own uid is one of `uids`."""

    uids: frozenset[int]
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call is allowed, why, and whether the caller is an administrator."""

    allowed: bool
    reason: str
    admin: bool


def decide(credentials: Credentials, method: str, admins: Admins) -> Decision:
    """Decide about one call.

    Args:
        credentials: the caller's, from the kernel.
        method: the full gRPC path, such as "/localechod.v1.Control/Status".
        admins: the administrators.
    """
    why = _admin(credentials, admins)
    admin = bool(why)
    right = METHOD_RIGHTS.get(method)
    if right is None:
        return Decision(allowed=False, reason="there is no such method", admin=admin)
    if right is Right.LOOK:
        return Decision(allowed=True, reason="everyone who can connect may look", admin=admin)
    if admin:
        return Decision(allowed=True, reason=why, admin=True)
    reason = f"uid {credentials.uid} is not an administrator"
    return Decision(allowed=False, reason=reason, admin=False)


def _admin(credentials: Credentials, admins: Admins) -> str:
    """Return why the caller is an administrator, or "" where it is none."""
    if credentials.uid in admins.uids:
        return f"uid {credentials.uid} is an administrator"
    shared = credentials.groups & admins.gids
    return f"gid {min(shared)} is a group of administrators" if shared else ""
