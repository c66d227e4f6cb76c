"""The checks of what comes after connect: whether the server attends to its socket."""

import resource
import socket

from localechod.explain.check import FORMER, MESSAGES, SERVER, Check, ok
from localechod.explain.facts import Facts
from localechod.explain.liveness import PAUSE, Process
from localechod.explain.remedy import Remedy, advice
from localechod.localsocket.diag import DiagSocket

_CAUSE = "see what it waits for: cat /proc/{pid}/wchan /proc/{pid}/syscall, gdb or py-spy"


def check_server(facts: Facts, main: DiagSocket) -> list[Check]:
    """Check whether a client that connects is answered. Such a problem refuses no connect."""
    seen = facts.liveness
    if not seen.processes:
        return []
    first = seen.processes[0]
    if seen.all_stopped:
        detail = f"{_name(facts, first)} is {first.stopped}"
        return [_problem(detail, _go_on(first))]
    if seen.moved is not False:
        return []
    if main.type == socket.SOCK_DGRAM:
        detail = f"messages wait, and {_name(facts, first)} read none in {PAUSE:g} s"
        return [_problem(detail, advice(_CAUSE.format(pid=first.pid)))]
    exhausted = next((each for each in seen.processes if each.free == 0), None)
    if exhausted is not None:
        detail = f"{_name(facts, exhausted)} has all {exhausted.limits[0]} descriptors in use"
        return [_problem(f"{detail}, so it cannot accept", _more(facts, exhausted))]
    detail = f"connections wait, and {_name(facts, first)} accepted none in {PAUSE:g} s"
    return [_problem(detail, advice(_CAUSE.format(pid=first.pid)))]


def check_messages(facts: Facts, *, is_full: bool | None = None) -> list[Check]:
    """Check the queue of a datagram socket. The kernel tells only a connected socket its length.

    Args:
        facts: the facts.
        is_full: whether a socket that was connected to it could not send; None: none was connected.
    """
    seen = facts.liveness
    if not is_full:
        if not seen.waiting:
            return []
        more = "use --probe to see whether more fit" if is_full is None else "more fit"
        return [ok(MESSAGES, f"messages wait to be read; {more}")]
    now = "" if seen.most is None else f" ({seen.most} at present)"
    detail = f"the queue is full: it takes net.unix.max_dgram_qlen messages{now} and one more"
    remedy = advice(
        "find out why the server reads slowly, or let the client wait; a change of that setting "
        "counts for sockets that are made after it"
    )
    return [Check(MESSAGES, "problem", detail, remedy=remedy)]


def check_former(facts: Facts) -> list[Check]:
    """Check whether the client itself is connected to a socket that had the name before."""
    if not facts.former:
        return []
    pid = facts.question.pid
    noun = "a connection" if facts.former == 1 else f"{facts.former} connections"
    detail = f"process {pid} still has {noun} to a former socket of this name, deleted or replaced"
    remedy = advice("have it connect again, or start it anew")
    return [Check(FORMER, "problem", detail, remedy=remedy)]


def _problem(detail: str, remedy: Remedy) -> Check:
    return Check(SERVER, "problem", detail, remedy=remedy)


def _name(facts: Facts, process: Process) -> str:
    found = next((each for each in facts.holders if each.pid == process.pid), None)
    return f"{found.command if found and found.command else 'process'} ({process.pid})"


def _go_on(process: Process) -> Remedy:
    if process.stopped.endswith("signal"):
        return advice("let it go on", f"kill -CONT {process.pid}")
    return advice("end the debugger, or let it continue the process")


def _more(facts: Facts, process: Process) -> Remedy:
    """Return more descriptors for a process: its limit, doubled."""
    soft, hard = process.limits
    both = (
        f"{2 * soft}:"
        if 2 * soft <= hard or hard == resource.RLIM_INFINITY
        else f"{2 * soft}:{2 * soft}"
    )
    unit = next((each.unit for each in facts.holders if each.pid == process.pid), "")
    lasting = f"LimitNOFILE= of {unit}" if unit.endswith(".service") else "its own ulimit -n"
    text = f"give it more (for good: {lasting}), and see in /proc/{process.pid}/fd what it keeps"
    return advice(text, f"prlimit --pid {process.pid} --nofile={both}")
