"""An experiment, running it, and its result."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from localechod.errors import LocalechodError
from localechod.lab.process import StalledError
from localechod.lab.sandbox import Facts, Sandbox, SkippedError


class Status(StrEnum):
    """How a result was obtained."""

    RAN = "ran"
    JUDGED = "judged"  # the tutorial only mentions the subject: judged by known facts, not measured
    SKIPPED = "skipped"  # impossible on this machine at this time: no verdict


@dataclass(frozen=True, slots=True)
class Experiment:
    """A test of a claim. Its texts are in the catalog, under its name.

    Attributes:
        name: its name on the command line.
        run: runs the experiment and returns the observed facts.
        expected: the facts that are expected on Linux; any other is a surprise.
        claimed: what the claim predicts, where that differs; empty: the same as `expected`.
    """

    name: str
    run: Callable[[Sandbox], Facts]
    expected: Facts
    claimed: Facts = field(default_factory=dict)

    def holds(self, facts: Facts) -> bool:
        """Return whether the observed facts are those that the claim predicts."""
        predicted = self.claimed or self.expected
        return all(facts.get(name) == value for name, value in predicted.items())

    def surprises(self, facts: Facts) -> list[str]:
        """Return a line for each observed fact that differs from the expected one."""
        names = [*self.expected, *(name for name in facts if name not in self.expected)]
        return [
            f"{name}: {self.expected.get(name)} -> {facts.get(name)}"
            for name in names
            if self.expected.get(name) != facts.get(name)
        ]


@dataclass(frozen=True, slots=True)
class Judgment:
    """A claim about a subject that the tutorial only mentions: there is nothing to run.

    Attributes:
        name: its name on the command line.
        verdict: whether the claim holds, judged by known facts.
    """

    name: str
    verdict: bool


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an experiment.

    Attributes:
        name: the experiment's name.
        status: how the result was obtained.
        holds: whether the claim holds; None for a skipped experiment.
        transcript: the commands and their output, in order.
        surprises: the facts that differ from the expected ones, "NAME: EXPECTED -> OBSERVED".
        reason: why the experiment was skipped, as a field of `catalog.Words`; else "".
    """

    name: str
    status: Status
    holds: bool | None
    transcript: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    reason: str = ""


# How an experiment breaks off: a process stalls, a system call or a command fails, the daemon
# reports an error, or a transcript has fewer lines than expected.
_FAILURES = (
    StalledError,
    OSError,
    subprocess.SubprocessError,
    LocalechodError,
    LookupError,
    ValueError,
)


def expected_verdict(experiment: Experiment | Judgment) -> bool:
    """Return whether the claim is expected to hold."""
    if isinstance(experiment, Judgment):
        return experiment.verdict
    return experiment.holds(experiment.expected)


def conduct(experiment: Experiment | Judgment) -> Result:
    """Run one experiment and clean up; an error in it is a surprise.

    Raises:
        OSError: the sandbox's directory could not be created.
    """
    if isinstance(experiment, Judgment):
        return Result(experiment.name, Status.JUDGED, experiment.verdict)
    with Sandbox() as sandbox:
        try:
            facts = experiment.run(sandbox)
        except SkippedError as skipped:
            reason = str(skipped)
            return Result(experiment.name, Status.SKIPPED, None, sandbox.transcript, [], reason)
        except _FAILURES as error:
            # Without observed facts the claim is not confirmed, and the result is not expected.
            return Result(experiment.name, Status.RAN, False, sandbox.transcript, [repr(error)])
        return Result(
            experiment.name,
            Status.RAN,
            experiment.holds(facts),
            sandbox.transcript,
            experiment.surprises(facts),
        )
