"""The result of one check of a connect, and the verdict that follows from all of them."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Result = Literal["ok", "problem", "unknown"]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: the kind of check, one word.
        result: "ok", "problem", or "unknown" where the check could not be made.
        detail: what was found, one escaped line.
        number: the errno of connect(2). Of a problem: what connect returns because of it. Of an
            unknown result: what it would return if there were a problem. 0 where the check cannot
            decide, and only helps to understand another one.
        remedy: how to solve the problem, or "". It is shown if this check decides.
        decides: for an unknown result, whether connect depends on it.
    """

    name: str
    result: Result
    detail: str
    number: int = 0
    remedy: str = ""
    decides: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conclusion from all checks.

    Attributes:
        number: the errno of connect(2); 0 for success; None where it is unknown.
        text: the conclusion, one escaped line.
        remedy: how to solve the problem, or "".
    """

    number: int | None
    text: str
    remedy: str


def ok(name: str, detail: str) -> Check:
    """Return a check without a problem."""
    return Check(name, "ok", detail)


def conclude(checks: Sequence[Check]) -> Verdict:
    """Return the verdict: the first problem that has an errno decides, in the kernel's order.

    An unknown result that comes before it decides as well: then the verdict is unknown.
    """
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
