"""The report about one address: every check, the holders, the verdict and the remedy."""

import errno
import os
from dataclasses import dataclass, replace

from localechod.explain.check import Check, Verdict, conclude, ok
from localechod.explain.checks import every_check
from localechod.explain.facts import Facts, Question, gather
from localechod.explain.listener_checks import reachable_socket
from localechod.explain.probe import probe
from localechod.explain.processes import HoldingProcess
from localechod.explain.remedy import none
from localechod.explain.solve import solve
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

CAN, CANNOT, UNKNOWN = 0, 1, 5
"""Exit statuses."""


@dataclass(frozen=True, slots=True)
class Report:
    """The report.

    Attributes:
        type: "stream", "datagram" or "seqpacket": the type of the question, or else the socket's
            own; None where there is neither.
        served: whether somebody answers a client that connects; None: not known.
    """

    question: Question
    type: str | None
    checks: tuple[Check, ...]
    holders: tuple[HoldingProcess, ...]
    verdict: Verdict
    served: bool | None = None

    @property
    def exit_status(self) -> int:
        """0: a client can connect; 1: it cannot; 5: unknown."""
        if self.verdict.number is None:
            return UNKNOWN
        return CANNOT if self.verdict.number else CAN


def explain(question: Question, *, probing: bool = False) -> Report:
    """Gather the facts and judge them; with `probing`, connect as well.

    Raises:
        LocalechodError: the process of the question has ended, or may not be inspected.
    """
    facts = gather(question)
    report = judge(facts)
    if not probing:
        return report
    kind = next((number for number, name in TYPE_NAMES.items() if name == report.type), None)
    return _probed(report, probe(replace(question, type=kind)))


def judge(facts: Facts) -> Report:
    """Judge the facts."""
    question = facts.question
    checks = every_check(facts)
    kind = question.type
    if kind is None and facts.listing.sockets and (main := reachable_socket(facts)):
        kind = main.type
    verdict = conclude(checks, solve(facts, checks))
    return Report(
        question,
        None if kind is None else TYPE_NAMES[kind],
        checks,
        facts.holders,
        verdict,
        facts.liveness.is_served if verdict.number in {0, errno.EAGAIN} else None,
    )


def _probed(report: Report, number: int) -> Report:
    """Add the probe's result, which decides; keep the reason where the errno is the same."""
    if number:
        detail = f"connect failed: {os.strerror(number)} ({number})"
        check = Check("probe", "problem", detail, number)
    else:
        check = ok("probe", "connected, then closed at once")
    verdict = report.verdict
    if verdict.number != number:
        expected = [each for each in report.checks if number and each.number == number]
        reason = replace(expected[0], result="problem") if expected else check
        if reason.denial is not None:
            unknown = report.verdict.text
            reason = replace(reason, remedy=none(f"an earlier result is {unknown}"))
        # Problems without an errno stay: one may explain the reason, and have its remedy.
        verdict = conclude([*(each for each in report.checks if not each.is_decisive), reason])
    return replace(report, checks=(*report.checks, check), verdict=verdict)


def shown_name(question: Question) -> str:
    """Return the address, escaped."""
    return escape(question.name)
