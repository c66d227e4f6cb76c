"""What comes of an experiment: verdicts, surprises, and those that cannot be made."""

import errno
from collections.abc import Callable

import pytest

from localechod.errors import LocalechodError, UsageError
from localechod.lab.experiment import Experiment, Status, conduct, expected_verdict
from localechod.lab.process import StalledError
from localechod.lab.registry import EXPERIMENTS, find
from localechod.lab.sandbox import Facts, Sandbox, SkippedError


def seeing(facts: Facts) -> Callable[[Sandbox], Facts]:
    def run(sandbox: Sandbox) -> Facts:
        sandbox.note("a line")
        return facts

    return run


def failing(error: Exception) -> Callable[[Sandbox], Facts]:
    def run(sandbox: Sandbox) -> Facts:
        sandbox.note(f"in {sandbox.directory}")
        raise error

    return run


def test_what_was_foretold_and_seen_holds() -> None:
    result = conduct(Experiment("x", seeing({"errno": 2}), {"errno": 2}))
    assert (result.status, result.holds, result.surprises) == (Status.RAN, True, [])
    assert result.transcript == ["a line"]


def test_a_claim_known_to_be_wrong_does_not_surprise_when_it_is() -> None:
    experiment = Experiment("x", seeing({"read": "0"}), {"read": "0"}, claimed={"read": "1"})
    result = conduct(experiment)
    assert (result.holds, result.surprises) == (False, [])
    assert not expected_verdict(experiment)


def test_a_claim_known_to_be_wrong_surprises_when_it_holds() -> None:
    result = conduct(Experiment("x", seeing({"read": "1"}), {"read": "0"}, claimed={"read": "1"}))
    assert (result.holds, result.surprises) == (True, ["read: 0 -> 1"])


def test_what_is_missing_or_new_surprises_too() -> None:
    result = conduct(Experiment("x", seeing({"b": 2, "c": 3}), {"a": 1, "b": 2}))
    assert result.surprises == ["a: 1 -> None", "c: None -> 3"]
    assert result.holds is False


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files"),
        StalledError("no further output within 20 s"),
        LocalechodError("the daemon says no"),
        IndexError("list index out of range"),
        ValueError("not enough values to unpack"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_experiment_that_breaks_off_is_a_surprise_and_no_traceback(error: Exception) -> None:
    result = conduct(Experiment("x", failing(error), {"a": 1}))
    assert (result.status, result.holds) == (Status.RAN, False)
    assert result.surprises == [repr(error)]
    assert result.transcript == ["in $LAB"]


def test_one_that_cannot_be_made_has_no_verdict() -> None:
    result = conduct(Experiment("x", failing(SkippedError("root")), {"a": 1}))
    assert (result.status, result.holds, result.reason) == (Status.SKIPPED, None, "root")
    assert result.surprises == []


def test_experiments_are_found_in_the_order_of_their_names_on_the_command_line() -> None:
    assert [each.name for each in find(["listing", "only-client"])] == ["listing", "only-client"]
    assert find([]) == EXPERIMENTS


def test_an_unknown_name_is_answered_with_those_there_are_the_likeliest_first() -> None:
    with pytest.raises(UsageError) as raised:
        find(["only-cleint"])
    assert str(raised.value).startswith(
        "there is no experiment only-cleint; there are only-client, "
    )
    assert all(each.name in raised.value.hint for each in EXPERIMENTS)
