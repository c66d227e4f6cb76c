"""The checks of the socket itself: listener, type, queue, holders, and security module.

They use only what `gather` found. Their order is that of unix_stream_connect() and
unix_dgram_connect() in Linux's net/unix/af_unix.c: the kernel compares the type before it checks
whether the socket listens.
"""

import errno
import socket

from localechod.explain.abstract_names import check_unbound
from localechod.explain.check import Check, ok
from localechod.explain.facts import Facts
from localechod.explain.listings import accepts, is_connection, reachable
from localechod.explain.liveness_checks import check_messages, check_server
from localechod.explain.processes import HoldingProcess, describe
from localechod.explain.remedy import advice
from localechod.explain.security_checks import check_security
from localechod.localsocket.diag import DiagSocket
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

_START = advice("start the server, which replaces the file")
_START_ANEW = advice("start the server")
_SAME_MOUNT = advice(
    "have the server bind its socket in a directory that both sides have from the same mount, such "
    "as a bind mount of the host's directory or a volume"
)


def check_listener(facts: Facts) -> list[Check]:
    """Check the socket that has the file or the abstract name."""
    listing = facts.listing
    if listing.failure:
        detail = f"cannot read the kernel's list of sockets: {listing.failure}"
        checks = [Check("listener", "unknown", detail, remedy=advice("use --probe to find out"))]
    elif not listing.sockets:
        checks = [_unbound(facts)]
    else:
        main = reachable_socket(facts)
        checks = _bound(facts, main) if main else [_other_type(facts)]
        checks += [_holders(facts), *_activation(facts)]
    return [*checks, *_namespace(facts), *check_security(facts)]


def reachable_socket(facts: Facts) -> DiagSocket | None:
    """Return the socket that a connect reaches; None where there is none."""
    question = facts.question
    return reachable(facts.listing.sockets, question.type, abstract=question.is_abstract)


def _unbound(facts: Facts) -> Check:
    """Check a file or name for which no socket was found."""
    if facts.question.is_abstract:
        return check_unbound(facts.elsewhere)
    unsearched = facts.listing.unsearched
    mount = facts.walk.end.mount if facts.walk and facts.walk.end else None
    if unsearched == 0 and mount is not None and mount.hides_binds:
        detail = (
            f"no socket is bound to this file, as seen through this mount ({escape(mount.kind)}): "
            "a socket is bound and connected through the same mount"
        )
        return Check("listener", "problem", detail, errno.ECONNREFUSED, _SAME_MOUNT)
    if unsearched == 0:
        deleted = mount is not None and mount.is_deleted
        cause = "bound another file" if deleted else "ended without removing the file"
        detail = f"no process holds the socket: the server {cause}"
        return Check("listener", "problem", detail, errno.ECONNREFUSED, _START)
    hidden = (
        "other containers" if unsearched is None else _count(unsearched, "other network namespace")
    )
    detail = f"no holder found, but {hidden} could not be searched"
    return Check("listener", "unknown", detail, errno.ECONNREFUSED, _START)


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{plural}"


def _other_type(facts: Facts) -> Check:
    types = sorted({TYPE_NAMES[each.type] for each in facts.listing.sockets})
    return Check(
        "type",
        "problem",
        f"the name belongs to a {'/'.join(types)} socket; each socket type has its own names",
        errno.ECONNREFUSED,
        advice(f"use --type {types[0]}"),
    )


def _bound(facts: Facts, main: DiagSocket) -> list[Check]:
    asked = facts.question.type
    wrong = asked is not None and main.type != asked
    checks = [_listener(facts, main, wrong=wrong)]
    if wrong:
        detail = f"it is a {TYPE_NAMES[main.type]} socket, not {TYPE_NAMES[asked or 0]}"
        remedy = advice(f"connect with a {TYPE_NAMES[main.type]} socket")
        return [*checks, Check("type", "problem", detail, errno.EPROTOTYPE, remedy)]
    checks += [ok("type", TYPE_NAMES[main.type]), *check_server(facts, main)]
    if main.type == socket.SOCK_DGRAM:
        return [*checks, _peer(main), *check_messages(facts)]
    return [*checks, _queue(main)] if accepts(main) else checks


def _listener(facts: Facts, main: DiagSocket, *, wrong: bool) -> Check:
    who = _first_holder(facts.holders)
    if accepts(main):
        return ok("listener", "bound" if main.type == socket.SOCK_DGRAM else f"listening{who}")
    if is_connection(main):
        detail = "no process listens any more; only connections that it accepted remain"
        if wrong and len(facts.listing.sockets) == 1:
            # The kernel finds a socket that was bound and then connected by its name, and
            # compares its type; it does not find an accepted socket. Both look the same here.
            return Check("listener", "unknown", detail, errno.ECONNREFUSED, _START_ANEW)
        return Check("listener", "problem", detail, errno.ECONNREFUSED, _START_ANEW)
    number = errno.EPROTOTYPE if wrong else errno.ECONNREFUSED
    detail = f"bound, but not listening{who}: the server is starting, or has shut it down"
    return Check(
        "listener", "problem", detail, number, advice("wait for the server, or read its log")
    )


def _first_holder(holders: tuple[HoldingProcess, ...]) -> str:
    return f", by {holders[0].command or 'pid'} ({holders[0].pid})" if holders else ""


def _queue(main: DiagSocket) -> Check:
    waiting = f"waiting to be accepted: {main.queue}, backlog {main.backlog}"
    # unix_recvq_full(): the queue holds one more than the backlog
    if main.queue <= main.backlog:
        return ok("queue", waiting)
    detail = f"{waiting}: full; a blocking connect waits until the server accepts"
    remedy = advice(
        "find out why the server does not accept; a larger backlog only delays the problem"
    )
    return Check("queue", "problem", detail, errno.EAGAIN, remedy)


def _peer(main: DiagSocket) -> Check:
    if not main.has_peer:
        return ok("peer", "receives datagrams from every process that may write to it")
    detail = "connected, so it receives datagrams from its own peer only"
    return Check(
        "peer", "problem", detail, errno.EPERM, advice("the server must not connect its socket")
    )


def _holders(facts: Facts) -> Check:
    hidden = (
        f"{_count(facts.unreadable, 'process', 'es')} could not be inspected"
        if facts.unreadable
        else ""
    )
    if facts.holders:
        return ok("holders", "; ".join([*map(describe, facts.holders), *filter(None, [hidden])]))
    nowhere = (
        "no process visible in this container holds it"
        if facts.contained
        else "no process holds it: its descriptor is being passed, or the kernel keeps it"
    )
    detail = hidden or nowhere
    return Check("holders", "unknown", detail, remedy=advice("run explain as root"), decides=False)


def _activation(facts: Facts) -> list[Check]:
    if all(holder.pid != 1 for holder in facts.holders):
        return []
    unit = facts.activation
    if unit is None:
        return [ok("activation", "held by pid 1, probably for socket activation")]
    return [ok("activation", f"{escape(unit.name)} listens for {escape(unit.starts)}")]


def _namespace(facts: Facts) -> list[Check]:
    if facts.question.is_abstract:
        return [ok("namespace", "abstract: every process in its network namespace may connect")]
    if facts.listing.other_pid is None:
        return []
    where = f"another network namespace, that of process {facts.listing.other_pid}"
    return [ok("namespace", f"in {where}; for a path, this does not matter")]
