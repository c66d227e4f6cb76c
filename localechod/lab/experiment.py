"""What an experiment is, how it is run, and what comes of it."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from localechod.errors import LocalechodError
from localechod.lab.process import StalledError
from localechod.lab.sandbox import Facts, Sandbox, SkippedError


class Status(StrEnum):
    """How an experiment came to its result."""

    RAN = "ran"
    JUDGED = "judged"  # only named in the article: decided by what is known, not measured
    SKIPPED = "skipped"  # cannot be made here and now: no verdict


@dataclass(frozen=True, slots=True)
class Experiment:
    """A claim put to the test. Its texts are in the catalogue, under its name.

    Attributes:
        name: what the command line calls it.
        run: makes the experiment and returns what it saw.
        known: what is known to be seen; anything else is a surprise.
        claimed: what the claim foretells where it is known not to hold; empty: the same as known.
    """

    name: str
    run: Callable[[Sandbox], Facts]
    expected: Facts
    claimed: Facts = field(default_factory=dict)

    def holds(self, facts: Facts) -> bool:
        """Say whether the claim holds, seeing these facts."""
        foretold = self.claimed or self.expected
        return all(facts.get(name) == value for name, value in foretold.items())

    def surprises(self, facts: Facts) -> list[str]:
        """List, one line each, what is not as it is known to be."""
        names = [*self.expected, *(name for name in facts if name not in self.expected)]
        return [
            f"{name}: {self.expected.get(name)} -> {facts.get(name)}"
            for name in names
            if self.expected.get(name) != facts.get(name)
        ]


@dataclass(frozen=True, slots=True)
class Judgment:
    """A claim about what the article only names: there is nothing to run.

    Attributes:
        name: what the command line calls it.
        verdict: whether the claim holds, by what is known.
    """

    name: str
    verdict: bool


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an experiment.

    Attributes:
        name: the experiment's.
        status: how it came to be.
        holds: whether the claim holds; None where it was skipped.
        transcript: the commands and what they showed, in order.
        surprises: what differs from what is known, "NAME: KNOWN -> SEEN"; empty: nothing.
        reason: why it was skipped, a word of the catalogue; else "".
    """

    name: str
    status: Status
    holds: bool | None
    transcript: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    reason: str = ""


# What becomes of a scene that does not go as it should: it stalls, the machine refuses something,
# the daemon says no, or fewer lines are on a screen than are looked for there.
_NOT_SEEN = (
    StalledError,
    OSError,
    subprocess.SubprocessError,
    LocalechodError,
    LookupError,
    ValueError,
)


def expected_verdict(experiment: Experiment | Judgment) -> bool:
    """Say whether the claim is known to hold."""
    if isinstance(experiment, Judgment):
        return experiment.verdict
    return experiment.holds(experiment.expected)


def conduct(experiment: Experiment | Judgment) -> Result:
    """Run one experiment; what goes wrong in it is a surprise, and nothing of it remains.

    Raises:
        OSError: there is no module for its directory.
    """
    if isinstance(experiment, Judgment):
        return Result(experiment.name, Status.JUDGED, experiment.verdict)
    with Sandbox() as sandbox:
        try:
            facts = experiment.run(sandbox)
        except SkippedError as skipped:
            reason = str(skipped)
            return Result(experiment.name, Status.SKIPPED, None, sandbox.transcript, [], reason)
        except _NOT_SEEN as error:
            # What was not seen is no proof of the claim, and least of all as expected.
            return Result(experiment.name, Status.RAN, False, sandbox.transcript, [repr(error)])
        return Result(
            experiment.name,
            Status.RAN,
            experiment.holds(facts),
            sandbox.transcript,
            experiment.surprises(facts),
        )
