"""The report about one address: every check, the holders, the verdict and the remedy."""

import errno
import os
import socket
from dataclasses import dataclass, replace

from localechod.explain.check import MESSAGES, Check, Verdict, conclude, ok
from localechod.explain.checks import every_check
from localechod.explain.facts import Facts, Question
from localechod.explain.gathering import gather
from localechod.explain.listener_checks import reachable_socket
from localechod.explain.liveness_checks import check_messages
from localechod.explain.probe import Outcome, probe
from localechod.explain.processes import HoldingProcess
from localechod.explain.remedy import none
from localechod.explain.solve import solve
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

CAN, CANNOT, UNKNOWN, LIKELY = 0, 1, 5, 6
"""Exit statuses."""

# Checks of what a process that probes for another one does not have.
_OF_THE_PROCESS = frozenset(("filters", "landlock", "security"))


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
        """0: a client can connect; 1: it cannot; 5: unknown; 6: it should be able to."""
        if self.verdict.fails:
            return CANNOT
        if self.verdict.reservations:
            return LIKELY
        return UNKNOWN if self.verdict.number is None else CAN


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
    return _probed(facts, report, probe(replace(question, type=kind)))


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
        facts.liveness.is_served if _may_wait(verdict) else None,
    )


def _may_wait(verdict: Verdict) -> bool:
    """Whether a client gets as far as the queue of the server."""
    return verdict.number in {0, errno.EAGAIN} or bool(verdict.reservations)


def _probed(facts: Facts, report: Report, outcome: Outcome) -> Report:
    """Add the probe's result, which decides; keep the reason where the errno is the same."""
    number = outcome.number
    if number:
        detail = f"connect failed: {os.strerror(number)} ({number})"
        check = Check("probe", "problem", detail, number)
    else:
        check = ok("probe", "connected, then closed at once")
    checks = [each for each in report.checks if each.name != MESSAGES]
    if not number and report.type == TYPE_NAMES[socket.SOCK_DGRAM]:
        checks += check_messages(facts, is_full=outcome.is_full)
    verdict = report.verdict
    if verdict.number != number or outcome.is_full:
        expected = [each for each in checks if number and each.number == number]
        reason = replace(expected[0], result="problem", unless="") if expected else check
        if reason.denial is not None:
            unknown = report.verdict.text
            reason = replace(reason, remedy=none(f"an earlier result is {unknown}"))
        # Problems without an errno stay: one may explain the reason, and have its remedy.
        kept = [each for each in checks if not each.is_decisive or _stays(each, report, number)]
        verdict = conclude([*kept, reason])
    return replace(report, checks=(*checks, check), verdict=verdict)


def _stays(check: Check, report: Report, number: int) -> bool:
    """Whether a check decides although the probe connected: its rules are not for the prober."""
    return check.name in _OF_THE_PROCESS and not number and not report.question.is_ours


def shown_name(question: Question) -> str:
    """Return the address, escaped."""
    return escape(question.name)
