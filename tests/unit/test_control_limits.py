"""One user cannot use up all, and all users together cannot lock out the administrator."""

import pytest

from localechod.control.limits import CallerLimits, Excess
from localechod.echo import ratelimit
from localechod.echo.reasons import Reason
from localechod.limits import (
    BURST_BYTES,
    BYTES_PER_SECOND,
    CALLS_PER_USER,
    CONTROL_CONNECTIONS,
    CONTROL_CONNECTIONS_PER_USER,
)


def filled(limits: CallerLimits, uid: int) -> None:
    for _ in range(CONTROL_CONNECTIONS_PER_USER):
        assert not limits.connect(uid)


def test_a_users_limit_does_not_affect_others() -> None:
    limits = CallerLimits({0})
    filled(limits, 1000)
    text = "uid 1000 has 16 control connections already"
    assert limits.connect(1000) == Excess(Reason.USER_LIMIT, text)
    assert not limits.connect(1001)


def test_a_disconnect_permits_another_connection() -> None:
    limits = CallerLimits({0})
    filled(limits, 1000)
    limits.disconnect(1000)
    assert not limits.connect(1000)
    assert limits.connect(1000)


def test_beyond_the_total_each_user_gets_two_and_root_and_the_daemon_itself_any_number() -> None:
    limits = CallerLimits({0, 990})
    for uid in range(1000, 1000 + CONTROL_CONNECTIONS // CONTROL_CONNECTIONS_PER_USER):
        filled(limits, uid)
    assert not limits.connect(2000)
    assert not limits.connect(2000)
    text = "there are 64 control connections already"
    assert limits.connect(2000) == Excess(Reason.TOTAL_LIMIT, text)
    assert not limits.connect(2001)
    for uid in (0, 990):
        assert not limits.connect(uid)
        assert not limits.connect(uid)


def test_the_privileged_have_a_limit_of_their_own() -> None:
    limits = CallerLimits({0})
    filled(limits, 0)
    assert limits.connect(0)


def test_calls_are_counted_per_user() -> None:
    limits = CallerLimits({0})
    for _ in range(CALLS_PER_USER):
        assert not limits.call(1000)
    text = "uid 1000 has 64 calls under way already"
    assert limits.call(1000) == Excess(Reason.CALL_LIMIT, text)
    assert not limits.call(1001)
    limits.end_call(1000)
    assert not limits.call(1000)


def test_bytes_are_limited_by_user_and_come_back_with_time() -> None:
    limits = CallerLimits({0})
    assert not limits.spend(1000, BURST_BYTES, 5.0)
    text = "uid 1000 sends more than 8192 bytes a second"
    assert limits.spend(1000, 1, 5.0) == Excess(Reason.BYTE_LIMIT, text)
    assert not limits.spend(1001, BURST_BYTES, 5.0)
    assert not limits.spend(1000, BYTES_PER_SECOND // 2, 6.0)
    assert limits.spend(1000, BYTES_PER_SECOND, 6.0)
    assert not limits.spend(0, 1 << 30, 6.0)  # root's own slips are not held against root


def test_a_flood_is_not_held_against_a_user_for_long() -> None:
    limits = CallerLimits({0})
    for _ in range(1000):
        limits.spend(1000, BURST_BYTES, 5.0)
    assert limits.spend(1000, 1, 5.5)
    assert not limits.spend(1000, 1, 7.0)


def test_the_table_of_budgets_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimit, "USER_ENTRIES", 3)
    limits = CallerLimits({0})
    for uid in range(1000, 1010):
        assert not limits.spend(uid, 10, 5.0)
    assert len(limits._budgets) == 4
    assert not limits.spend(2000, 10, 500.0)  # the first ones have a full budget again
    assert len(limits._budgets) <= 4
