"""The user whose rights `send --as` connects with."""

import os
import pwd

from localechod.errors import NotPermittedError, UsageError
from localechod.localsocket.address import escape
from localechod.localsocket.connect import import_all


def become(user: str) -> None:
    """Switch to a user's ids and groups, irreversibly.

    When the last uid stops being 0, the kernel clears the capability sets (capabilities(7)).

    Raises:
        UsageError: there is no such user.
        NotPermittedError: the caller is not root.
    """
    try:
        account = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, ValueError, OverflowError):
        raise UsageError(f"no such user: {escape(user)}", "see getent passwd") from None
    import_all()
    try:
        os.initgroups(account.pw_name, account.pw_gid)
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    except PermissionError:
        raise NotPermittedError(
            f"becoming {account.pw_name} failed: Operation not permitted (1)",
            "only root can use --as; sudo localechoctl send --as ...",
        ) from None
