"""Look-ups in the user database, with the accounts that every machine has."""

import grp
import os
import pwd

import pytest

from localechod.accounts import (
    find_group,
    find_user,
    gid_of,
    group_name,
    groups_of,
    members,
    uid_of,
    user_name,
    user_of,
)

FREE = 3_999_999_999  # an id that no account has
NOBODY = pwd.getpwnam("nobody")


def test_an_account_is_found_by_name_and_by_number() -> None:
    assert find_user("nobody") == find_user(str(NOBODY.pw_uid)) == user_of(NOBODY.pw_uid) == NOBODY
    assert uid_of("nobody") == NOBODY.pw_uid
    group = grp.getgrgid(NOBODY.pw_gid)
    assert find_group(group.gr_name) == find_group(str(group.gr_gid)) == group
    assert gid_of(group.gr_name) == group.gr_gid


@pytest.mark.parametrize(
    "text", ["no such account", "", "a\0b", "\udcff", "-1", str(FREE), "9" * 40]
)
def test_a_name_or_number_without_an_account_is_none(text: str) -> None:
    assert find_user(text) is None
    assert find_group(text) is None
    assert uid_of(text) is None
    assert gid_of(text) is None


def test_an_id_without_an_account_is_shown_as_its_number() -> None:
    assert (user_name(0), group_name(0)) == ("root", "root")
    assert (user_name(FREE), group_name(FREE)) == (str(FREE), str(FREE))


def test_the_groups_of_a_login_have_the_primary_group_among_them() -> None:
    assert groups_of(NOBODY) == frozenset(os.getgrouplist("nobody", NOBODY.pw_gid))
    assert 0 in groups_of(NOBODY, 0)


def test_members_are_users_and_groups_and_an_unknown_name_is_nobody() -> None:
    assert members(["root", "@root", "no such user", "@no such group"]) == (
        frozenset({0}),
        frozenset({0}),
    )
