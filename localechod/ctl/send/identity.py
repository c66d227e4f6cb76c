"""The user whose rights `send --as` connects with."""

import os

from localechod.accounts import find_user
from localechod.errors import NotPermittedError, UsageError
from localechod.localsocket.connect import import_all
from localechod.text import escape


def become(user: str) -> None:
    """Switch to a user's ids and groups, irreversibly.

    When the last uid stops being 0, the kernel clears the capability sets (capabilities(7)).

    Raises:
        UsageError: there is no such user.
        NotPermittedError: the caller is not root.
    """
    account = find_user(user)
    if account is None:
        raise UsageError(f"no such user: {escape(user)}", "see getent passwd")
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
