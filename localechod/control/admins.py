"""The names in `[control] admins`, looked up in the user database."""

from collections.abc import Collection

from localechod.accounts import identifies, members
from localechod.control.access import Admins


def resolve(names: Collection[str], own_uid: int) -> Admins:
    """Return the administrators by number; names without an account are left out.

    Those are no error here: a package may create the group later, and a check of the configuration
    has warned.

    Args:
        names: user names, and group names with a leading "@".
        own_uid: the daemon's own user, which is an administrator if it can be told from others.
    """
    uids, gids = members(names)
    return Admins(uids | {own_uid} if identifies(own_uid) else uids, gids)
