"""Work in a child process: its results, its errors, and an end to waiting."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from localechod.ctl.patience import within
from localechod.errors import NothingListensError, SocketError

LONG = 60.0
SHORT = 0.01


def test_results_come_one_by_one() -> None:
    assert list(within(LONG, lambda: [1, 2, 3])) == [1, 2, 3]


def test_an_error_is_the_same_in_the_parent() -> None:
    def work() -> Iterator[int]:
        yield 1
        raise SocketError("connect", 2, "/some/path", "see there")

    results = within(LONG, work)
    assert next(results) == 1
    with pytest.raises(SocketError) as caught:
        next(results)
    assert str(caught.value) == (
        "connect failed: No such file or directory (2): /some/path; see there"
    )
    assert caught.value.exit_status == NothingListensError.exit_status


def test_work_that_stands_still_is_given_up_and_killed() -> None:
    reading, writing = os.pipe()

    def work() -> Iterator[int]:
        yield 1
        time.sleep(LONG)

    results = within(SHORT, work)
    with pytest.raises(TimeoutError):
        list(results)
    os.close(writing)
    assert not os.read(reading, 1)  # the child, which had the other end, has ended
    os.close(reading)


def test_a_child_that_is_killed_is_an_error() -> None:
    def work() -> Iterator[int]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield 1

    with pytest.raises(ChildProcessError):
        list(within(LONG, work))


def test_it_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(within(LONG, lambda: [os.write(1, b"out") + os.write(2, b"err")])) == [6]
    assert capfd.readouterr() == ("", "")
