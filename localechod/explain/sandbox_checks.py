"""The checks of the client's sandbox: its seccomp filters, and Landlock.

A filter answers before the kernel looks at the call; Landlock once the socket has been found.
"""

import errno

from localechod.explain import drop_ins
from localechod.explain.check import Check, ok
from localechod.explain.facts import Facts
from localechod.explain.remedy import Remedy, advice
from localechod.explain.sandbox import ABSTRACT_NAMES, FAMILIES, PATHS, SYSTEM_CALLS, Sandbox
from localechod.explain.seccomp import ALLOWED, Answer

_CALLS = ("socket", "connect")


def check_filters(facts: Facts) -> list[Check]:
    """Check the seccomp filters of the client (seccomp(2))."""
    sandbox = facts.sandbox
    for call in _CALLS:
        answer = sandbox.calls.get(call, ALLOWED)
        if answer.kind != "allowed":
            return [_refused(facts, call, answer)]
    if not sandbox.calls:
        return []
    others = [call for call, answer in sandbox.calls.items() if answer.kind != "allowed"]
    refused = f", not {' and '.join(others)}" if others else ""
    return [ok("filters", f"the client's seccomp filters allow socket and connect{refused}")]


def check_unread(facts: Facts) -> list[Check]:
    """Check for filters that were not read: they come last, as any other problem is certain."""
    number = facts.sandbox.unread
    if not number:
        return []
    noun = "the seccomp filter" if number == 1 else f"one of {number} seccomp filters"
    detail = f"{noun} of the client may refuse socket or connect, or end it"
    remedy = advice("use --filters, which stops the process for a moment and reads them")
    unless = f"{noun} of process {facts.question.client.pid} forbids it"
    return [Check("filters", "unknown", detail, remedy=remedy, unless=unless)]


def _refused(facts: Facts, call: str, answer: Answer) -> Check:
    remedy = _remedy(facts, call)
    if answer.kind == "unknown":
        detail = f"the answer of the client's seccomp filters to {call} cannot be foretold"
        return Check("filters", "unknown", detail, remedy=remedy)
    family = " with AF_UNIX" if call == "socket" else ""
    detail = f"a seccomp filter of the client forbids {call}{family}"
    return Check("filters", "problem", detail, answer.number, remedy, call=call)


def _remedy(facts: Facts, call: str) -> Remedy:
    """Return the settings of the client's service that allow its calls, or where to look."""
    sandbox = facts.sandbox
    lines = _settings(sandbox)
    if not lines:
        return advice(
            f"have the program that installed the filter allow {call}: the client itself, a "
            "container's seccomp profile, bwrap, or the settings of a systemd unit"
        )
    text = f"give {sandbox.unit} the setting {' and '.join(lines)}, and restart it"
    return advice(text, drop_ins.command(sandbox.unit, lines))


def _settings(sandbox: Sandbox) -> list[str]:
    """Return settings for the section [Service]; none where the unit has no such filter."""
    lines, calls = [], []
    for call in _CALLS:
        answer = sandbox.calls.get(call, ALLOWED)
        if answer.kind == "allowed":
            continue
        if answer.number == errno.EAFNOSUPPORT and FAMILIES in sandbox.settings:
            lines.append(f"{FAMILIES}=AF_UNIX")
        elif SYSTEM_CALLS in sandbox.settings:
            calls.append(call)
        else:
            return []
    # systemd adds them to a list of what is allowed, and takes them from one of what is not.
    return [*lines, f"{SYSTEM_CALLS}={' '.join(calls)}"] if calls else lines


def check_landlock(facts: Facts) -> list[Check]:
    """Check whether a Landlock domain may refuse the connect (landlock(7))."""
    abstract = facts.question.is_abstract
    if facts.sandbox.landlock < (ABSTRACT_NAMES if abstract else PATHS):
        return []
    detail = "the client has no_new_privs set, and may be in a Landlock domain that forbids it"
    number = errno.EPERM if abstract else errno.EACCES
    remedy = advice("run explain --probe inside the sandbox")
    unless = "a Landlock domain of the client forbids it"
    return [Check("landlock", "unknown", detail, number, remedy, unless=unless)]
