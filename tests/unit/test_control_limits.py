"""One user cannot take all, and all users together cannot lock out the administrator."""

from localechod.control.limits import (
    CALLS_PER_USER,
    CONNECTIONS,
    CONNECTIONS_PER_USER,
    Bounds,
)


def filled(bounds: Bounds, uid: int) -> None:
    for _ in range(CONNECTIONS_PER_USER):
        assert not bounds.connect(uid)


def test_a_user_has_a_limit_and_another_does_not_feel_it() -> None:
    bounds = Bounds({0})
    filled(bounds, 1000)
    assert bounds.connect(1000) == "uid 1000 has 16 control connections already"
    assert not bounds.connect(1001)


def test_a_place_is_free_again_after_a_disconnect() -> None:
    bounds = Bounds({0})
    filled(bounds, 1000)
    bounds.disconnect(1000)
    assert not bounds.connect(1000)
    assert bounds.connect(1000)


def test_the_total_keeps_out_others_but_not_root_nor_the_daemon_itself() -> None:
    bounds = Bounds({0, 990})
    for uid in range(1000, 1000 + CONNECTIONS // CONNECTIONS_PER_USER):
        filled(bounds, uid)
    assert bounds.connect(2000) == "there are 64 control connections already"
    assert not bounds.connect(0)
    assert not bounds.connect(990)


def test_the_privileged_have_a_limit_of_their_own() -> None:
    bounds = Bounds({0})
    filled(bounds, 0)
    assert bounds.connect(0)


def test_an_excess_is_told_once_until_the_user_has_room_again() -> None:
    bounds = Bounds({0})
    filled(bounds, 1000)
    assert [bounds.worth_telling(1000) for _ in range(3)] == [True, False, False]
    bounds.disconnect(1000)
    assert bounds.worth_telling(1000)


def test_calls_are_counted_per_user() -> None:
    bounds = Bounds({0})
    for _ in range(CALLS_PER_USER):
        assert not bounds.call(1000)
    assert bounds.call(1000) == "uid 1000 has 64 calls under way already"
    assert not bounds.call(1001)
    bounds.end_call(1000)
    assert not bounds.call(1000)
