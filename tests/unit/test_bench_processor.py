"""Running on one processor, and the processor time of a process."""

import os

import pytest

from localechod.bench.processor import cpu_seconds, pinned, usable
from localechod.errors import UsageError


def test_a_process_is_pinned_only_inside_the_block() -> None:
    before = os.sched_getaffinity(0)
    with pinned(usable()[0]):
        assert os.sched_getaffinity(0) == {usable()[0]}
    assert os.sched_getaffinity(0) == before


def test_without_a_processor_nothing_is_pinned() -> None:
    before = os.sched_getaffinity(0)
    with pinned(None):
        assert os.sched_getaffinity(0) == before


def test_a_missing_processor_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--cpu 9999: there is no such processor; there are: "):
        pinned(9999).__enter__()


def test_a_process_has_processor_time_and_a_missing_one_has_none() -> None:
    own = cpu_seconds(os.getpid())
    assert own is not None
    assert own > 0
    assert cpu_seconds(2**22 + 1) is None
