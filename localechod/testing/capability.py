"""What a test may need of the user who runs it, and why this user does not have it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

_SET_IDS = {7: "CAP_SETUID", 6: "CAP_SETGID"}  # linux/capability.h


def missing(needs: tuple[str, ...]) -> str:
    """Return why this user lacks one of these capabilities, or "".

    Args:
        needs: "root" for uid 0; "other_users" for a process that may become another user.

    Raises:
        ValueError: there is no such capability; the text names those that there are.
    """
    for name in needs:
        if name not in _CHECKS:
            raise ValueError(f'no capability "{name}"; there are: {", ".join(_CHECKS)}')
    return next((reason for name in needs if (reason := _CHECKS[name]())), "")


def _root() -> str:
    uid = os.geteuid()
    return f"needs root, and runs as uid {uid}" if uid else ""


def _other_users() -> str:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    uid_map = Path("/proc/self/uid_map").read_text(encoding="ascii")
    return other_users_missing(status, uid_map)


def other_users_missing(status: str, uid_map: str) -> str:
    """Return why a process cannot become another user, or "".

    Args:
        status: its /proc/PID/status (proc(5)).
        uid_map: its /proc/PID/uid_map (user_namespaces(7)): first uid, uid outside, number.
    """
    (effective,) = (line for line in status.splitlines() if line.startswith("CapEff:"))
    held = int(effective.split()[1], 16)
    lacking = [name for bit, name in _SET_IDS.items() if not held >> bit & 1]
    if lacking:
        return f"needs to become other users, and lacks {' and '.join(lacking)}"
    if sum(int(line.split()[2]) for line in uid_map.splitlines()) < 2:
        return "needs other users, and this user namespace has a single one"
    return ""


_CHECKS: Mapping[str, Callable[[], str]] = {"root": _root, "other_users": _other_users}
