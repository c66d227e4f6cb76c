"""Gathers the facts about one address, and connects to nothing.

The sources are the path to the file, the kernel's list of sockets (UNIX_DIAG) in the network
namespaces that can be entered, the descriptors of all processes, systemd's list of socket units,
and the labels of a security module.
"""

import errno
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from localechod.errors import NotPermittedError, UsageError
from localechod.explain import (
    absence,
    abstract_names,
    ancestry,
    confinement,
    former,
    listings,
    liveness,
    magic_links,
    not_sockets,
    places,
    sandbox,
    security,
    units,
)
from localechod.explain.facts import LONGEST, Facts, Question
from localechod.explain.listings import Listing, is_connection, reachable
from localechod.explain.processes import holding_processes
from localechod.explain.walk import Walk
from localechod.localsocket.diag import DiagSocket
from localechod.localsocket.holders import is_contained

_COMMANDS = "setfacl", "usermod"
_ROOTS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PROTECTED_SYMLINKS = Path("/proc/sys/fs/protected_symlinks")


def gather(question: Question) -> Facts:
    """Gather the facts.

    Raises:
        UsageError: the process of the question does not exist.
        NotPermittedError: its /proc files may not be read.
    """
    if len(question.name) > LONGEST:
        return Facts(question)
    inside = sandbox.inspect(question.client.pid, question.type, read=question.filters)
    facts = _facts(question)
    found = facts.listing
    main = reachable(found.sockets, question.type, abstract=question.is_abstract)
    seen = liveness.look(
        main, [each.pid for each in facts.holders], found.other_pid or question.pid
    )
    return replace(facts, sandbox=inside, liveness=seen, former=_former(facts))


def _facts(question: Question) -> Facts:
    if question.is_abstract:
        facts = Facts(question, listing=listings.by_name(question.name, question.pid))
        if not facts.listing.sockets and not facts.listing.failure:
            facts = replace(facts, elsewhere=abstract_names.search(question.name, question.pid))
        return _with_processes(facts)
    try:
        walk = places.resolve(question.name, question.pid)
        jumps = any(step.owner for step in walk.steps)
        facts = Facts(
            question,
            walk,
            _listing(walk, question.pid),
            protected_links=_protects_symlinks(),
            inspector=magic_links.inspector(question.client) if jumps else None,
        )
        if not facts.listing.sockets:
            missing = absence.inspect(question.name, question.pid, walk)
            facts = replace(facts, absence=missing)
        path = _path_for_us(question, walk)
        if path and walk.end and not stat.S_ISSOCK(walk.end.node.mode):
            facts = replace(facts, content=not_sockets.read(path, walk.end.node.mode))
        return _with_outside(_with_processes(facts))
    except (FileNotFoundError, ProcessLookupError):
        if question.pid is None:  # /proc is missing, which is not the user's mistake
            raise
        raise UsageError(f"no such process: {question.pid}", "see ps -e") from None
    except PermissionError:
        if question.pid is None:
            raise
        cause = f"inspecting process {question.pid} failed: Permission denied (13)"
        raise NotPermittedError(
            cause, "only root can use --pid with another user's process"
        ) from None


def _with_outside(facts: Facts) -> Facts:
    """Add the setting that hides files from the client, and the facts as they are without it."""
    question = facts.question
    confined = facts.walk and confinement.find(facts.walk, question.pid)
    if not confined:
        return facts
    outside = _facts(replace(question, pid=None)) if question.name.startswith(b"/") else None
    return replace(facts, confinement=confined, outside=outside)


def _former(facts: Facts) -> int:
    question, end = facts.question, facts.walk.end if facts.walk else None
    if question.pid is None or question.is_abstract:
        return 0
    path = end.path if end else question.name
    return former.count(question.pid, path, (end.device, end.inode) if end else None)


def _listing(walk: Walk, pid: int | None) -> Listing:
    end = walk.end
    if end is None or not stat.S_ISSOCK(end.node.mode):
        return Listing()
    return listings.by_file(end.device, end.inode, pid)


def _protects_symlinks() -> bool:
    try:
        return _PROTECTED_SYMLINKS.read_bytes().strip() == b"1"
    except OSError:  # the kernel has no such setting, and so no such protection
        return False


def _with_processes(facts: Facts) -> Facts:
    """Add the processes that hold the socket, its socket unit, and the security labels."""
    sockets = _without_connections(facts.listing.sockets)
    found, unreadable = holding_processes(sockets) if sockets else ({}, 0)
    holders = {each.pid: each for held in found.values() for each in held}
    missing = facts.walk is not None and facts.walk.number == errno.ENOENT
    question = facts.question
    main = reachable(facts.listing.sockets, question.type, abstract=question.is_abstract)
    return replace(
        facts,
        holders=tuple(holders[pid] for pid in sorted(holders)),
        unreadable=unreadable,
        contained=is_contained(),
        activation=units.socket_unit(*_addresses(facts)) if missing or 1 in holders else None,
        security=security.inspect(
            question.client.pid, tuple(sorted(holders)), main, facts.walk, _above(question)
        ),
        family=ancestry.of_process(facts.question.client.pid or 0),
        absent=frozenset(each for each in _COMMANDS if not shutil.which(each, path=_ROOTS_PATH)),
    )


def _without_connections(sockets: Sequence[DiagSocket]) -> list[DiagSocket]:
    """Leave out accepted connections, which have the name and file of their listener."""
    own = [each for each in sockets if not is_connection(each)]
    return own or list(sockets)


def _addresses(facts: Facts) -> list[str]:
    name = facts.question.name
    if facts.question.is_abstract:
        return ["@" + os.fsdecode(name[1:])]
    end = facts.walk.end if facts.walk else None
    return [os.fsdecode(path) for path in ({name, end.path} if end else {name})]


def _path_for_us(question: Question, walk: Walk) -> bytes:
    """Return a path by which our own process reaches the file; b"" where there is none."""
    if walk.end is None or not walk.end.path.startswith(b"/"):
        return b""
    return _above(question) + walk.end.path


def _above(question: Question) -> bytes:
    """Return what makes a path of the client's one of ours, put before it."""
    return b"" if question.pid is None else b"/proc/%d/root" % question.pid
