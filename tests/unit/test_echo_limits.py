"""Which peers may use an endpoint, by kernel credentials."""

import grp
import os
import pwd

from localechod.echo.limits import AllowList, UserLimit
from localechod.localsocket.peer import Credentials

DAEMON = pwd.getpwnam("daemon")
NOBODY = pwd.getpwnam("nobody")


def peer(uid: int, *groups: int) -> Credentials:
    return Credentials(os.getpid(), uid, groups[0], frozenset(groups))


def test_an_empty_list_lets_everyone_in() -> None:
    assert AllowList([]).admits(peer(NOBODY.pw_uid, NOBODY.pw_gid))


def test_a_user_is_known_by_uid() -> None:
    assert AllowList(["daemon"]).admits(peer(DAEMON.pw_uid, NOBODY.pw_gid))
    assert not AllowList(["daemon"]).admits(peer(NOBODY.pw_uid, DAEMON.pw_gid))


def test_a_group_counts_whether_primary_or_supplementary() -> None:
    members = AllowList(["@mail"])
    mail = grp.getgrnam("mail").gr_gid
    assert members.admits(peer(NOBODY.pw_uid, mail))
    assert members.admits(peer(NOBODY.pw_uid, NOBODY.pw_gid, mail))
    assert not members.admits(peer(NOBODY.pw_uid, NOBODY.pw_gid))


def test_a_name_without_an_account_lets_nobody_in() -> None:
    assert not AllowList(["no-such-user", "@no-such-group"]).admits(peer(0, 0))


def test_the_limit_counts_each_user_alone() -> None:
    limit = UserLimit(2)
    for _ in range(2):
        assert limit.admits(1)
        limit.enter(1)
    assert not limit.admits(1)
    assert limit.admits(2)
    limit.leave(1)
    assert limit.admits(1)


def test_no_limit_is_zero() -> None:
    limit = UserLimit(0)
    for _ in range(100):
        limit.enter(1)
    assert limit.admits(1)
