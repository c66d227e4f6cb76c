"""The whole answer about one address: every check, who holds it, the verdict and the remedy."""

import os
import stat
from dataclasses import dataclass, replace

from localechod.explain.check import Check, Verdict, conclude, ok
from localechod.explain.facts import LONGEST, Facts, Question, gather
from localechod.explain.listener_checks import check_listener, reachable_socket
from localechod.explain.path_checks import check_name, check_path
from localechod.explain.probe import probe
from localechod.explain.processes import HoldingProcess
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

CAN, CANNOT, UNKNOWN = 0, 1, 5
"""Exit statuses."""


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to say.

    Attributes:
        type: "stream", "datagram" or "seqpacket": what was asked for, else what is there; or None.
    """

    question: Question
    type: str | None
    checks: tuple[Check, ...]
    holders: tuple[HoldingProcess, ...]
    verdict: Verdict

    @property
    def exit_status(self) -> int:
        """0: a client can connect, 1: it cannot, 5: that cannot be known."""
        if self.verdict.number is None:
            return UNKNOWN
        return CANNOT if self.verdict.number else CAN


def explain(question: Question, *, probing: bool = False) -> Report:
    """Look, decide, and if asked really connect.

    Raises:
        LocalechodError: the process of the question is gone, or closed to us.
    """
    facts = gather(question)
    report = judge(facts)
    if not probing:
        return report
    kind = next((number for number, name in TYPE_NAMES.items() if name == report.type), None)
    return _probed(report, probe(replace(question, type=kind)))


def judge(facts: Facts) -> Report:
    """Decide by the facts alone."""
    question = facts.question
    checks = [check_name(question)]
    if facts.walk is not None:
        checks += check_path(facts, facts.walk)
    if _may_be_served(facts):
        checks += check_listener(facts)
    kind = question.type
    if kind is None and facts.listing.sockets and (main := reachable_socket(facts)):
        kind = main.type
    return Report(
        question,
        None if kind is None else TYPE_NAMES[kind],
        tuple(checks),
        facts.holders,
        conclude(checks),
    )


def _may_be_served(facts: Facts) -> bool:
    """Whether there is a name that somebody could have bound: an abstract one, or a socket file."""
    if facts.question.is_abstract:
        return len(facts.question.name) <= LONGEST
    end = facts.walk.end if facts.walk else None
    return end is not None and stat.S_ISSOCK(end.node.mode)


def _probed(report: Report, number: int) -> Report:
    """Let the kernel have the last word, and keep the reason where it is the same."""
    if number:
        detail = f"connect failed: {os.strerror(number)} ({number})"
        check = Check("probe", "problem", detail, number)
    else:
        check = ok("probe", "connected, then closed at once")
    verdict = report.verdict
    if verdict.number != number:
        expected = [each for each in report.checks if number and each.number == number]
        reason = replace(expected[0], result="problem") if expected else check
        verdict = conclude([reason])
    return replace(report, checks=(*report.checks, check), verdict=verdict)


def shown_name(question: Question) -> str:
    """Return the address as everything shows it."""
    return escape(question.name)
