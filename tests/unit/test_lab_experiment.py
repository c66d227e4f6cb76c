"""The results of experiments: verdicts, surprises, and skipped ones."""

import errno
from collections.abc import Callable

import pytest

from localechod.errors import LocalechodError, UsageError
from localechod.lab.experiment import Experiment, Status, conduct, expected_verdict
from localechod.lab.process import StalledError
from localechod.lab.registry import EXPERIMENTS, find
from localechod.lab.sandbox import Facts, Sandbox, SkippedError


def observing(facts: Facts) -> Callable[[Sandbox], Facts]:
    def run(sandbox: Sandbox) -> Facts:
        sandbox.note("a line")
        return facts

    return run


def failing(error: Exception) -> Callable[[Sandbox], Facts]:
    def run(sandbox: Sandbox) -> Facts:
        sandbox.note(f"in {sandbox.directory}")
        raise error

    return run


def test_a_claim_that_predicts_the_observation_holds() -> None:
    result = conduct(Experiment("x", observing({"errno": 2}), {"errno": 2}))
    assert (result.status, result.holds, result.surprises) == (Status.RAN, True, [])
    assert result.transcript == ["a line"]


def test_a_claim_that_fails_as_expected_is_no_surprise() -> None:
    experiment = Experiment("x", observing({"read": "0"}), {"read": "0"}, claimed={"read": "1"})
    result = conduct(experiment)
    assert (result.holds, result.surprises) == (False, [])
    assert not expected_verdict(experiment)


def test_a_claim_that_holds_unexpectedly_is_a_surprise() -> None:
    result = conduct(
        Experiment("x", observing({"read": "1"}), {"read": "0"}, claimed={"read": "1"})
    )
    assert (result.holds, result.surprises) == (True, ["read: 0 -> 1"])


def test_missing_and_additional_facts_are_surprises() -> None:
    result = conduct(Experiment("x", observing({"b": 2, "c": 3}), {"a": 1, "b": 2}))
    assert result.surprises == ["a: 1 -> None", "c: None -> 3"]
    assert result.holds is False


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        StalledError("no further output within 20 s"),
        LocalechodError("the daemon reports an error"),
        IndexError("list index out of range"),
        ValueError("not enough values to unpack"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_experiment_that_breaks_off_is_a_surprise_without_a_traceback(error: Exception) -> None:
    result = conduct(Experiment("x", failing(error), {"a": 1}))
    assert (result.status, result.holds) == (Status.RAN, False)
    assert result.surprises == [repr(error)]
    assert result.transcript == ["in $LAB"]


def test_a_skipped_experiment_has_no_verdict() -> None:
    result = conduct(Experiment("x", failing(SkippedError("root")), {"a": 1}))
    assert (result.status, result.holds, result.reason) == (Status.SKIPPED, None, "root")
    assert result.surprises == []


def test_experiments_are_in_the_order_of_the_command_line() -> None:
    assert [each.name for each in find(["listing", "only-client"])] == ["listing", "only-client"]
    assert find([]) == EXPERIMENTS


def test_an_unknown_name_is_an_error_that_lists_similar_names_first() -> None:
    with pytest.raises(UsageError) as raised:
        find(["only-cleint"])
    assert str(raised.value).startswith(
        "there is no experiment only-cleint; there are only-client, "
    )
    assert all(each.name in raised.value.hint for each in EXPERIMENTS)
