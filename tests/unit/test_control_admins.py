"""Names of administrators become numbers; an unknown name is no error."""

import grp
import os
import pwd

from localechod.control.admins import resolve


def test_users_and_groups_are_looked_up_and_the_own_uid_is_included() -> None:
    user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(0)
    admins = resolve([user.pw_name, f"@{group.gr_name}"], own_uid=4711)
    assert admins.uids == {4711, user.pw_uid}
    assert admins.gids == {0}


def test_unknown_names_give_no_rights() -> None:
    admins = resolve(["no-such-user", "@no-such-group"], own_uid=1)
    assert admins.uids == {1}
    assert admins.gids == frozenset()
