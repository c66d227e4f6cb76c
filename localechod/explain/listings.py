"""The kernel's lists of sockets in the client's network namespace, and in others."""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localechod.explain import netns
from localechod.localsocket import diag
from localechod.localsocket.diag import DiagSocket
from localechod.localsocket.types import TYPE_NAMES

_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Listing:
    """The sockets of an address, from the kernel's lists.

    Attributes:
        sockets: the sockets that are bound as this file, or to this abstract name.
        failure: why the list could not be read, or "".
        other_pid: a process of the network namespace in which they were found; None where that
            is the namespace of the client.
        unsearched: the number of network namespaces that could not be entered; None where some
            may be hidden.
    """

    sockets: tuple[DiagSocket, ...] = ()
    failure: str = ""
    other_pid: int | None = None
    unsearched: int | None = 0


def by_name(name: bytes, pid: int | None) -> Listing:
    """List the sockets that have an abstract name in the network namespace of a process.

    Args:
        name: with its leading NUL.
        pid: the process; None: our own.
    """
    try:
        return Listing(tuple(netns.run_inside(pid, lambda: diag.named(name))))
    except OSError as error:
        return Listing(failure=_reason(error))


def by_file(device: int, inode: int, pid: int | None) -> Listing:
    """List the sockets that were bound as a file; a path works across network namespaces.

    Args:
        device: of the file, as UNIX_DIAG has it.
        inode: of the file.
        pid: a process of the namespace to search first; None: our own.
    """

    def ask() -> list[DiagSocket]:
        return diag.bound_to(device, inode)

    try:
        found = netns.run_inside(pid, ask)
    except OSError as error:
        return Listing(failure=_reason(error))
    return Listing(tuple(found)) if found else search_others(ask, pid)


def search_others(ask: Callable[[], list[DiagSocket]], pid: int | None) -> Listing:
    """Search all network namespaces that can be entered, but that of a process.

    Processes start and end meanwhile, so the search is repeated until no namespace is new.

    Args:
        ask: lists the sockets of the namespace in which it is called.
        pid: the process; None: our own.
    """
    known = {netns.identity(pid or os.getpid())}
    closed = 0
    for _ in range(_ATTEMPTS):
        there = netns.survey()
        new = {number: other for number, other in there.pids.items() if number not in known}
        if not new:
            return Listing(unsearched=closed if there.complete else None)
        for number, other in new.items():
            try:
                found = netns.run_inside(other, ask)
            except (FileNotFoundError, ProcessLookupError):
                continue  # the process has ended; others may be in the same namespace
            except OSError:
                closed += 1
            else:
                if found:
                    return Listing(tuple(found), other_pid=other)
            known.add(number)
    return Listing(unsearched=None)


def reachable(
    sockets: Sequence[DiagSocket], type_: int | None, *, abstract: bool
) -> DiagSocket | None:
    """Return the socket that a connect reaches; None where there is none.

    Each socket type has its own abstract names. Without a type, it is the first socket that
    accepts, in the order in which `localechoctl send` tries the types.

    Args:
        sockets: those with the name or the file.
        type_: the client's, socket.SOCK_*, or None.
        abstract: the name is an abstract one.
    """
    if abstract and type_ is not None:
        sockets = [each for each in sockets if each.type == type_]
    return min(sockets, key=_rank, default=None)


def _rank(each: DiagSocket) -> tuple[bool, int]:
    return not accepts(each), list(TYPE_NAMES).index(each.type)


def accepts(each: DiagSocket) -> bool:
    """Whether the socket accepts connections or datagrams at all."""
    if each.type == socket.SOCK_DGRAM:
        return True
    return each.state == diag.STATE_LISTEN and not each.is_shut


def is_connection(each: DiagSocket) -> bool:
    """True for a stream or seqpacket socket that has a peer."""
    return each.type != socket.SOCK_DGRAM and each.state == diag.STATE_ESTABLISHED


def _reason(error: OSError) -> str:
    return f"{error.strerror} ({error.errno})"
