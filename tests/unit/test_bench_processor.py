"""Staying on a processor, and reading what a process has used."""

import os

import pytest

from localechod.bench.processor import pinned, seconds, usable
from localechod.errors import UsageError


def test_a_process_is_pinned_for_a_while_only() -> None:
    before = os.sched_getaffinity(0)
    with pinned(usable()[0]):
        assert os.sched_getaffinity(0) == {usable()[0]}
    assert os.sched_getaffinity(0) == before


def test_no_processor_leaves_it_free() -> None:
    before = os.sched_getaffinity(0)
    with pinned(None):
        assert os.sched_getaffinity(0) == before


def test_a_processor_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--cpu 9999: there is no such processor; there are: "):
        pinned(9999).__enter__()


def test_the_time_of_a_process_is_known_and_of_none_it_is_not() -> None:
    own = seconds(os.getpid())
    assert own is not None
    assert own > 0
    assert seconds(2**22 + 1) is None
