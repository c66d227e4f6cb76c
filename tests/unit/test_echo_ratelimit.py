"""A refusal is told once, then counted; and all lines about peers together are few."""

import pytest

from localechod.echo import ratelimit as module
from localechod.echo.ratelimit import LineLimit
from localechod.limits import LOG_LINES, LOG_LINES_PER_USER, LOG_PAUSE, USER_ENTRIES


def test_the_first_is_told_and_the_next_ones_are_counted() -> None:
    limit = LineLimit()
    assert limit.note("a", 5, LOG_PAUSE, 0.0) == ""
    assert {limit.note("a", 5, LOG_PAUSE, LOG_PAUSE * n / 1000) for n in range(1, 1000)} == {None}
    assert limit.note("a", 5, LOG_PAUSE, LOG_PAUSE) == " (and 999 more since the last line)"
    assert limit.note("a", 5, LOG_PAUSE, LOG_PAUSE) is None
    assert limit.note("a", 5, LOG_PAUSE, 2 * LOG_PAUSE) == " (and 1 more since the last line)"
    assert limit.note("a", 5, LOG_PAUSE, 3 * LOG_PAUSE) == ""
    assert limit.left_out == 1000


def test_neither_another_user_nor_another_topic_is_silenced() -> None:
    limit = LineLimit()
    asked = [("a", 5), ("a", 6), ("b", 5), ("a", 5), ("a", 6)]
    assert [limit.note(*each, LOG_PAUSE, 0.0) for each in asked] == ["", "", "", None, None]


def test_one_user_gets_half_of_the_lines_of_any_second_and_all_users_get_all() -> None:
    limit = LineLimit()
    told = [limit.note("a", 5, 0, 10.0 + n / 1000) for n in range(500)]
    assert told == [""] * LOG_LINES_PER_USER + [None] * (500 - LOG_LINES_PER_USER)
    told = [limit.note("b", uid, 0, 10.5) for uid in range(100, 200)]
    assert told == [""] * (LOG_LINES - LOG_LINES_PER_USER) + [None] * (
        100 - LOG_LINES + LOG_LINES_PER_USER
    )
    assert (
        limit.note("a", 5, 0, 11.4) == f" (and {500 - LOG_LINES_PER_USER} more since the last line)"
    )


@pytest.mark.parametrize("users", [1, 2, 7, 1000])
def test_in_no_second_there_are_more_lines_than_allowed(users: int) -> None:
    limit = LineLimit()
    times = [n / 997 for n in range(5000) if limit.note("a", n % users, 0, n / 997) is not None]
    for begin in times:
        assert sum(begin <= at < begin + 1.0 for at in times) <= LOG_LINES
    assert limit.left_out == 5000 - len(times)


def test_many_users_do_not_fill_the_table() -> None:
    limit = LineLimit()
    for uid in range(10 * USER_ENTRIES):
        limit.note("a", uid, LOG_PAUSE, uid / 1000)
    assert len(limit._entries) <= USER_ENTRIES + 1


def test_a_user_gets_an_entry_again_when_there_is_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "USER_ENTRIES", 3)
    limit = LineLimit()
    told = [limit.note("a", uid, LOG_PAUSE, uid) for uid in range(5)]
    assert told == ["", "", "", "", None]
    assert limit.note("a", 4, LOG_PAUSE, LOG_PAUSE + 1) == ""
    assert limit.note("a", 4, LOG_PAUSE, LOG_PAUSE + 1) is None
