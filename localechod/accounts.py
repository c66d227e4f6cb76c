"""Users and groups: names to numbers and back, from the user database (getpwnam(3), getgrnam(3)).

Every look-up of the project is here, so that an account that does not exist is one case, and a
name that is shown is escaped.
"""

import grp
import os
import pwd
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from localechod.text import escape

# The uid, and the gid, that stands for each one that has none in our user namespace;
# user_namespaces(7), "Unmapped user and group IDs".
NO_ID = 65534

_ALL_IDS = [b"0", b"0", b"4294967295"]  # of uid_map: inside, outside, count


def user_name(uid: int) -> str:
    """Return the name of a user, escaped, or the number as text for a uid without an account."""
    account = user_of(uid)
    return str(uid) if account is None else escape(account.pw_name)


def group_name(gid: int) -> str:
    """Return the name of a group, escaped, or the number as text for a gid without an account."""
    try:
        return escape(grp.getgrgid(gid).gr_name)
    except KeyError:
        return str(gid)


def user_of(uid: int) -> pwd.struct_passwd | None:
    """Return the account of a uid; None: it has none, as in containers."""
    try:
        return pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return None


def find_user(text: str) -> pwd.struct_passwd | None:
    """Return the account with this name or, in digits, this uid; None: there is none."""
    if is_number(text):
        return user_of(int(text))
    try:
        return pwd.getpwnam(text)
    except (KeyError, ValueError):  # ValueError: a NUL, or bytes that are no text
        return None


def find_group(text: str) -> grp.struct_group | None:
    """Return the group with this name or, in digits, this gid; None: there is none."""
    try:
        return grp.getgrgid(int(text)) if is_number(text) else grp.getgrnam(text)
    except (KeyError, ValueError, OverflowError):
        return None


def is_local(file: str, name: str) -> bool:
    """Tell whether a file such as /etc/passwd has this account, so that usermod(8) can change it.

    Others are in a directory service, or made up by one (nsswitch.conf(5)).
    """
    try:
        lines = Path(file).read_bytes().split(b"\n")
    except OSError:
        return False
    return any(line.partition(b":")[0] == os.fsencode(name) for line in lines)


def is_number(text: str) -> bool:
    """Tell whether this is an id in digits. A name in the database never is."""
    return text.isascii() and text.isdigit()


def uid_of(name: str) -> int | None:
    """Return the uid of a user name; None: there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return None


def gid_of(name: str) -> int | None:
    """Return the gid of a group name; None: there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return None


def groups_of(account: pwd.struct_passwd, gid: int | None = None) -> frozenset[int]:
    """Return the groups that a new login of this account gets (getgrouplist(3)).

    Args:
        account: the user.
        gid: the primary group; None: the one in the user database.
    """
    primary = account.pw_gid if gid is None else gid
    return frozenset(os.getgrouplist(account.pw_name, primary))


def identifies(number: int) -> bool:
    """Whether a uid or gid that the kernel has told is that of one user or group.

    Where our user namespace does not map all ids, 65534 may be any other user outside, whether
    `nobody` is mapped or not.
    """
    return number != NO_ID or not _is_in_user_namespace()


@cache
def _is_in_user_namespace() -> bool:
    return Path("/proc/self/uid_map").read_bytes().split() != _ALL_IDS


def members(names: Iterable[str]) -> tuple[frozenset[int], frozenset[int]]:
    """Return the uids and the gids that a list of users and @groups names.

    A name without an account stands for no id, so a typing error never gives a right to anybody. An
    id that does not identify gives none either.
    """
    uids, gids = set(), set()
    for name in names:
        if name.startswith("@"):
            gids.add(gid_of(name[1:]))
        else:
            uids.add(uid_of(name))
    return _identified(uids), _identified(gids)


def _identified(ids: Iterable[int | None]) -> frozenset[int]:
    return frozenset(number for number in ids if number is not None and identifies(number))
