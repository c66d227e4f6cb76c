"""The result of one check of a connect, and the verdict that follows from all of them."""

import errno
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from localechod.explain.access import Want
from localechod.explain.remedy import NONE, Remedy, advice
from localechod.explain.walk import Step

SERVER, MESSAGES, FORMER = "server", "messages", "former"
"""Checks: the server attends to its socket; its queue of datagrams has space; the client is
connected to a former socket."""

_AFTER = {
    SERVER: "nobody answers: ",
    MESSAGES: "a send waits, or fails with EAGAIN (11): ",
    FORMER: "",
}

Result = Literal["ok", "problem", "unknown"]


@dataclass(frozen=True, slots=True)
class Denial:
    """A permission that the client lacks.

    Attributes:
        step: the inode.
        want: the permission; None for a link that fs.protected_symlinks does not let it follow.
    """

    step: Step
    want: Want | None


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: the kind of check, one word.
        result: "ok", "problem", or "unknown" where the check could not be made.
        detail: what was found, one escaped line.
        number: the errno of connect(2), or of another call that comes first; negative: the number
            of the signal that ends the client instead. Of a problem: what follows from it. Of an
            unknown result: what would follow from a problem. 0 where the check cannot decide, and
            only helps to understand another one.
        remedy: what helps, where no permission is missing. It is shown if this check decides; that
            of a problem without an errno is shown in place of that of the check which it explains.
        decides: for an unknown result, whether connect depends on it.
        denial: the missing permission. Its remedy is found by `solve`.
        call: the system call that fails.
        unless: of an unknown result that depends on a rule which cannot be read from here, and
            which refuses few clients: what would make connect fail, as a clause.
    """

    name: str
    result: Result
    detail: str
    number: int = 0
    remedy: Remedy = NONE
    decides: bool = True
    denial: Denial | None = None
    call: str = "connect"
    unless: str = ""

    @property
    def is_decisive(self) -> bool:
        """Whether the verdict is this check's, unless an earlier one decides."""
        return (self.result == "unknown" and self.decides) or (
            self.result == "problem" and self.number != 0
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conclusion from all checks.

    Attributes:
        number: the errno of connect(2), or of another call that comes first; 0 for success; None
            where it is unknown; negative: the number of the signal that ends the client instead.
        text: the conclusion, one escaped line.
        remedy: what helps.
        reservations: where every check but these succeeds: what they have found, each one escaped
            line. Then connect should work.
        fails: it fails, even where its errno is not known.
    """

    number: int | None
    text: str
    remedy: Remedy = NONE
    reservations: tuple[str, ...] = ()
    fails: bool = False


def ok(name: str, detail: str) -> Check:
    """Return a check without a problem."""
    return Check(name, "ok", detail)


def deciding(checks: Sequence[Check]) -> int | None:
    """Return the index of the check that decides; None where connect works.

    That is the first problem that has an errno, in the kernel's order, or an unknown result that
    comes before it. A rule that cannot be read decides only where there is neither.
    """
    found = [place for place, check in enumerate(checks) if check.is_decisive]
    firm = (place for place in found if not checks[place].unless)
    return next(firm, found[0] if found else None)


def reservations(checks: Sequence[Check]) -> tuple[Check, ...]:
    """Return the checks that decide, if each of them only names a rule that cannot be read."""
    found = tuple(check for check in checks if check.is_decisive)
    return found if all(check.unless for check in found) else ()


def conclude(checks: Sequence[Check], remedy: Remedy | None = None) -> Verdict:
    """Return the verdict.

    Args:
        checks: in the kernel's order.
        remedy: what helps; None for the remedy of the check that decides.
    """
    place = deciding(checks)
    reserved = reservations(checks)
    if place is None or reserved:
        return _success(checks, remedy or how_to_know(reserved), reserved)
    check = checks[place]
    found = own_remedy(checks, place) if remedy is None else remedy
    if check.result == "unknown":
        text = f"unknown: cannot tell whether connect works: {check.detail}"
        return Verdict(None, text, found)
    # A rule that may refuse it before with the same errno makes no difference.
    before = [each for each in checks[:place] if each.is_decisive and each.number != check.number]
    if before:
        number = f"its errno is {_cause(check.number)}, unless {_joined(before)}"
        text = f"connect fails: {check.detail}; {number}"
        return Verdict(None, text, found, fails=True)
    if check.number < 0:
        ended = signal.Signals(-check.number)
        text = f"{check.call} ends the client: {ended.name} ({-check.number}): {check.detail}"
        return Verdict(check.number, text, found, fails=True)
    kind = "a non-blocking connect" if check.number == errno.EAGAIN else check.call
    text = f"{kind} fails: {_cause(check.number)}: {check.detail}"
    return Verdict(check.number, text, found, fails=True)


def _cause(number: int) -> str:
    return f"{os.strerror(number)} ({number})"


def _joined(reserved: Sequence[Check]) -> str:
    return " or ".join(dict.fromkeys(each.unless for each in reserved))


def _success(checks: Sequence[Check], remedy: Remedy, reserved: Sequence[Check]) -> Verdict:
    """Return the verdict where connect works, with the problems that come after it.

    The remedy is that of the first of them.
    """
    text, joint = "connect works", ", but "
    if reserved:
        text, joint = f"connect should work, unless {_joined(reserved)}", "; but "
    after = [each for each in checks if each.result == "problem" and each.name in _AFTER]
    if after:
        text += joint + "; and ".join(f"{_AFTER[each.name]}{each.detail}" for each in after)
        remedy = replace(after[0].remedy, caveats=remedy.caveats)
    details = tuple(dict.fromkeys(each.detail for each in reserved))
    return Verdict(None if reserved else 0, text, remedy, details)


def how_to_know(reserved: Sequence[Check]) -> Remedy:
    """Return how to find out whether the rules permit it that these checks name."""
    actions = dict.fromkeys(action for each in reserved for action in each.remedy.actions)
    return Remedy(tuple(actions))


def own_remedy(checks: Sequence[Check], place: int) -> Remedy:
    """Return the remedy of one check, or that of an earlier problem which explains it."""
    check = checks[place]
    explaining = (
        each.remedy
        for each in checks[:place]
        if each.result == "problem" and not each.number and each.remedy.text
    )
    found = next(explaining, check.remedy)
    if check.result == "unknown" and check.number and not check.unless:
        return advice(f"use --probe to find out; if that fails: {found.text}")
    return found
