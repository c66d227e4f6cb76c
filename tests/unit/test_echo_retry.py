"""What cures which cause, and how long the waits are."""

import errno
from itertools import pairwise

import pytest

from localechod.echo.retry import RETRY_ON, Backoff, RetryOn, retry_on
from localechod.errors import ConfigError, SocketError


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        *((number, RetryOn.EVENT) for number in (errno.ENOENT, errno.ENOTDIR, errno.EACCES)),
        *((number, RetryOn.OPERATOR) for number in (errno.EPERM, errno.EROFS)),
        *((number, RetryOn.TIMER) for number in (errno.EMFILE, errno.ENFILE, errno.ENOSPC)),
        *((number, RetryOn.TIMER) for number in (errno.ENOMEM, errno.EADDRINUSE)),
        (errno.EXDEV, RetryOn.TIMER),  # nobody has foreseen it
    ],
)
def test_each_cause_has_its_cure(number: int, expected: RetryOn) -> None:
    assert retry_on(SocketError("bind", number), watched=True) is expected


@pytest.mark.parametrize("number", RETRY_ON)
def test_without_events_a_timer_triggers_the_attempt(number: int) -> None:
    seen = retry_on(SocketError("bind", number), watched=True)
    blind = retry_on(SocketError("bind", number), watched=False)
    assert blind is (RetryOn.TIMER if seen is RetryOn.EVENT else seen)


def test_an_owner_without_an_account_is_a_matter_for_a_person() -> None:
    assert retry_on(ConfigError('there is no user "x" here'), watched=False) is RetryOn.OPERATOR


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.wait(0.0) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_free_attempts_come_first() -> None:
    backoff = Backoff(3, jitter=lambda: 1.0)
    assert [backoff.wait(0.0) for _ in range(5)] == [0, 0, 0, 1, 2]


def test_after_a_long_quiet_a_new_row_begins() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.wait(now) for now in (0.0, 1.0, 121.0, 241.5)] == [1, 2, 4, 1]


def test_jitter_shortens_a_wait_by_at_most_half_and_differs() -> None:
    waits = [Backoff().wait(0.0) for _ in range(50)]
    assert all(0.5 <= wait <= 1.0 for wait in waits)
    assert any(one != other for one, other in pairwise(waits))
