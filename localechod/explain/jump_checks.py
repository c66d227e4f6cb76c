"""The check of a link in /proc/PID: whether the client may inspect the process.

That is ptrace(2), "Ptrace access mode checking", with PTRACE_MODE_READ_FSCREDS. The rules are those
of __ptrace_may_access() in Linux's kernel/ptrace.c and cap_ptrace_access_check() in
security/commoncap.c.
"""

import errno

from localechod.explain.check import Check, ok
from localechod.explain.magic_links import Inspector, Owner
from localechod.explain.remedy import advice
from localechod.text import escape

_CAP_SYS_PTRACE = 1 << 19  # linux/capability.h


def check_jump(path: bytes, process: Owner, client: Inspector, name: str) -> Check:
    """Check one link.

    Args:
        path: of the link.
        process: whose link it is.
        client: that follows it.
        name: the client's user, escaped.
    """
    shown = f"{escape(path)}, a link of process {process.pid}"
    allowed = may_follow(process, client)
    if allowed:
        return ok("symlink", shown)
    remedy = advice(
        f"run the client as root, or enter the namespaces of process {process.pid}: "
        f"nsenter --mount --root --target {process.pid}"
    )
    if allowed is None:
        detail = f"whether {name} may follow {shown} depends on that process's user namespace"
        return Check("symlink", "unknown", detail, errno.EACCES, remedy)
    detail = f"{name} may not follow {shown}: it may not inspect that process (ptrace(2))"
    return Check("symlink", "problem", detail, errno.EACCES, remedy)


def may_follow(process: Owner, client: Inspector) -> bool | None:
    """Decide whether a client may follow the links of a process; None: it cannot be told."""
    theirs = process.user_namespace
    if client.effective & _CAP_SYS_PTRACE:
        # A capability counts in the client's own user namespace and in those below it. All whose
        # number we may read are below ours.
        if theirs is not None and client.user_namespace in {theirs, client.ours}:
            return True
        if theirs != client.ours:
            return None
    same_user = process.uids == {client.uid} and process.gids == {client.gid}
    if not same_user or not process.dumpable:
        return False
    if theirs is None:
        return None
    return theirs == client.user_namespace and not process.permitted & ~client.effective
