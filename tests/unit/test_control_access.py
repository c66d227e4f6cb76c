"""Access control: the whole table, default deny, and a reason with every decision."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localechod.control.access import METHOD_RIGHTS, Admins, Right, decide
from localechod.control.wire import control_pb2 as pb
from localechod.localsocket.peer import Credentials

ADMINS = Admins(uids=frozenset({0, 990}), gids=frozenset({27}))
STATUS = "/localechod.v1.Control/Status"
STOP = "/localechod.v1.Control/Stop"


def caller(uid: int, *groups: int) -> Credentials:
    return Credentials(pid=1, uid=uid, gid=groups[0], groups=frozenset(groups))


def test_every_method_of_the_service_has_a_right() -> None:
    service = pb.DESCRIPTOR.services_by_name["Control"]
    methods = {f"/{service.full_name}/{method.name}" for method in service.methods}
    assert methods == {name for name in METHOD_RIGHTS if "localechod" in name}


def test_only_changes_need_an_administrator() -> None:
    changing = {name.rpartition("/")[2] for name, r in METHOD_RIGHTS.items() if r is Right.CHANGE}
    assert changing == {"Start", "Stop", "Restart", "Reload"}


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (caller(0, 0), "uid 0 is an administrator"),
        (caller(990, 990), "uid 990 is an administrator"),
        (caller(1000, 1000, 27), "gid 27 is a group of administrators"),
        (caller(1000, 27), "gid 27 is a group of administrators"),
    ],
)
def test_administrators_by_user_by_group_and_by_primary_group_may_change(
    who: Credentials, reason: str
) -> None:
    decision = decide(who, STOP, ADMINS)
    assert (decision.allowed, decision.admin, decision.reason) == (True, True, reason)


def test_an_ordinary_user_may_read_but_not_change() -> None:
    who = caller(1000, 1000, 100)
    look, change = decide(who, STATUS, ADMINS), decide(who, STOP, ADMINS)
    assert (look.allowed, look.admin) == (True, False)
    assert (change.allowed, change.admin) == (False, False)
    assert change.reason == "uid 1000 is not an administrator"


@pytest.mark.parametrize("method", ["", "/", "/localechod.v1.Control/", f"{STOP}/", STOP.lower()])
def test_an_unknown_method_is_denied_even_to_root(method: str) -> None:
    decision = decide(caller(0, 0), method, ADMINS)
    assert not decision.allowed
    assert decision.reason == "there is no such method"
    assert decision.admin


@given(
    uid=st.integers(1, 2**32 - 1).filter(lambda uid: uid not in ADMINS.uids),
    groups=st.lists(st.integers(0, 2**32 - 1).filter(lambda g: g != 27), min_size=1, max_size=5),
    method=st.sampled_from(sorted(METHOD_RIGHTS)) | st.text(),
)
def test_other_users_may_only_read(uid: int, groups: list[int], method: str) -> None:
    decision = decide(caller(uid, *groups), method, ADMINS)
    assert decision.allowed == (METHOD_RIGHTS.get(method) is Right.LOOK)
    assert decision.reason
    assert not decision.admin
