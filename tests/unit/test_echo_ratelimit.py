"""A refusal is told once, then counted: however often somebody comes again."""

from localechod.echo import ratelimit as module
from localechod.echo.ratelimit import LINES, PAUSE, USERS, LineLimit, RateLimit


def test_the_first_is_told_and_the_next_ones_are_counted() -> None:
    tally = RateLimit()
    assert tally.note(5, 0.0) == ""
    assert {tally.note(5, PAUSE * number / 1000) for number in range(1, 1000)} == {None}
    assert tally.note(5, PAUSE) == " (and 999 times since the last line)"
    assert tally.note(5, PAUSE) is None
    assert tally.note(5, 2 * PAUSE) == " (and 1 times since the last line)"
    assert tally.note(5, 3 * PAUSE) == ""


def test_one_user_does_not_silence_another() -> None:
    tally = RateLimit()
    assert [tally.note(uid, 0.0) for uid in (5, 6, 5, 6)] == ["", "", None, None]


def test_many_users_fill_neither_the_table_nor_the_log() -> None:
    tally = RateLimit()
    told = [tally.note(uid, 0.0) for uid in range(10 * USERS)]
    assert told.count("") == USERS + 1
    assert len(tally._entries) <= USERS + 1
    told = [tally.note(uid, PAUSE) for uid in range(20 * USERS, 10 * USERS, -1)]
    assert len([each for each in told if each is not None]) <= USERS + 1
    assert len(tally._entries) <= USERS + 1


def test_a_user_gets_an_entry_again_when_there_is_space() -> None:
    tally = RateLimit()
    for uid in range(module.USERS + 1):
        tally.note(uid, 0.0)
    assert tally.note(module.USERS, PAUSE) == ""
    assert tally.note(module.USERS, PAUSE) is None


def test_ten_lines_in_a_second_and_then_the_number_of_those_left_out() -> None:
    limit = LineLimit()
    told = [limit.note(10.0 + number / 1000) for number in range(1000)]
    assert told == [""] * LINES + [None] * (1000 - LINES)
    assert limit.note(11.0) == f" (and {1000 - LINES} messages that are not shown)"
    assert limit.note(11.0) == ""
