"""One check of a connect, and what a list of them amounts to."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Result = Literal["ok", "problem", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: of the kind of check, one word.
        detail: what was found, one escaped line.
        number: the errno that connect(2) gives for a problem, or would if what is unknown were
            one; 0 for what only helps to understand another check.
        remedy: what helps against that, or "".
        decides: of what is unknown, whether connect depends on it.
    """

    name: str
    result: Result
    detail: str
    number: int = 0
    remedy: str = ""
    decides: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks amount to; `number` is the errno, 0, or None where it cannot be known."""

    number: int | None
    text: str
    remedy: str


def ok(name: str, detail: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name, "ok", detail)


def conclude(checks: Sequence[Check]) -> Verdict:
    """Decide by the first check that does: they stand in the order in which the kernel looks."""
    for check in checks:
        if check.result == "unknown" and check.decides:
            text = f"unknown: cannot tell whether connect works: {check.detail}"
            remedy = f"use --probe to find out; if that fails: {check.remedy}"
            return Verdict(None, text, remedy if check.number else check.remedy)
        if check.result == "problem" and check.number:
            cause = f"{os.strerror(check.number)} ({check.number})"
            kind = "a non-blocking connect" if check.number == errno.EAGAIN else "connect"
            return Verdict(check.number, f"{kind} fails: {cause}: {check.detail}", check.remedy)
    return Verdict(0, "connect works", "")
