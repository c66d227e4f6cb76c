"""The connections of any local socket or process, with the processes at both ends."""

import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from localechod.accounts import user_name
from localechod.ctl import render
from localechod.ctl.listing import all_sockets, process_as_json, uninspected, unlisted
from localechod.ctl.matching import address_matcher
from localechod.errors import NothingListensError, NotPermittedError, UsageError
from localechod.explain import netns
from localechod.explain.processes import HoldingProcess, processes_of
from localechod.localsocket import diag
from localechod.localsocket.diag import DiagSocket
from localechod.localsocket.pairs import Connection, End, connections
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

_COLOURS = {"waiting": "yellow", "closed": "red", "accepted": "green", "connected": "green"}
_OF_ADDRESS = ("STATE", "TO-SERVER", "TO-CLIENT", "CLIENT", "SERVER")
_OF_PROCESS = ("STATE", "UNREAD", "SENT", "SIDE", "PEER", "PATH")
_HINT = "localechoctl explain {} says more"

Holders = dict[int, list[HoldingProcess]]


@dataclass(frozen=True, slots=True)
class Row:
    """A connection, and the processes that hold its ends and its listener."""

    connection: Connection
    client: Sequence[HoldingProcess]
    server: Sequence[HoldingProcess]
    listener: Sequence[HoldingProcess]

    @property
    def is_passed_on(self) -> bool:
        """Whether the server's end is not with the process that accepted it, or not with it alone.

        That process holds the listener too; where several do, each of them may have accepted it.
        """
        pids = {each.pid for each in self.server}
        return len(pids) > 1 or (
            self.connection.listener is not None
            and bool(pids)
            and not pids <= {each.pid for each in self.listener}
        )


@dataclass(frozen=True, slots=True)
class Report:
    """The connections that were found, and what limits the search."""

    rows: list[Row]
    limits: list[str]


def find(raw: bytes | None, pid: int | None) -> Report:
    """Find the connections of a socket, of a process, or of both.

    Args:
        raw: the socket's name as in sun_path; None for any.
        pid: the process; None for any.

    Raises:
        NothingListensError: no socket has the name.
        UsageError: there is no such process.
        NotPermittedError: the descriptors of the process may not be read.
        LocalechodError: the kernel's list of sockets could not be read.
    """
    if pid is not None:
        _check_readable(pid)
    namespaces, closed = _namespaces(abstract=raw is not None and raw.startswith(b"\0"))
    found = connections(namespaces)
    limits = [text] if (text := netns.unsearched(closed)) else []
    if raw is not None:
        found = _at(raw, found, [each for sockets in namespaces for each in sockets], limits)
    # By inode: the other end may be in a network namespace that could not be searched.
    held, unreadable = processes_of({inode for each in found for inode in _inodes(each)})
    rows = [_row(each, held) for each in found]
    if pid is not None:
        rows = [row for row in rows if pid in _pids(row)]
    if unreadable:
        limits.append(uninspected(unreadable))
    return Report(sorted(rows, key=_order), limits)


def show(report: Report, pid: int | None, *, json: bool) -> None:
    """Print a report; its limits go to standard error."""
    if json:
        render.emit_json([as_json(row) for row in report.rows])
    elif report.rows:
        render.emit(as_text(report.rows, pid))
    else:
        render.emit("no peers are connected")
    sys.stdout.flush()
    for line in report.limits:
        sys.stderr.write(f"{line}\n")


def as_json(row: Row) -> dict[str, Any]:
    """Return a connection in the documented form; what is unknown, or is not there, is None."""
    each = row.connection
    return {
        "path": escape(each.name) if each.name else None,
        "type": TYPE_NAMES.get(each.type, str(each.type)),
        "state": each.state,
        "passed_on": row.is_passed_on,
        "client": _end_as_json(each.client, row.client),
        "server": _end_as_json(each.server, row.server),
    }


def as_text(rows: Iterable[Row], pid: int | None) -> str:
    """Return a table; a process that shares an end with others has a line of its own."""
    headers = _OF_ADDRESS if pid is None else _OF_PROCESS
    cells = _of_address if pid is None else partial(_of_process, pid)
    return render.table(headers, [line for row in rows for line in cells(row)])


def _namespaces(*, abstract: bool) -> tuple[list[list[DiagSocket]], int | None]:
    """List the sockets of all network namespaces; of an abstract name, only our own matters."""
    if not abstract:
        return all_sockets()
    try:
        return [diag.sockets()], 0
    except OSError as error:
        raise unlisted(error) from None


def _at(
    raw: bytes, found: list[Connection], sockets: list[DiagSocket], limits: list[str]
) -> list[Connection]:
    matches = address_matcher(raw)
    matching = {each.inode for each in sockets if matches(each)}
    if not matching:
        reason = "; ".join([f"no socket is bound to {escape(raw)}", *limits])
        raise NothingListensError(reason, _HINT.format(shlex.quote(escape(raw))))
    return [each for each in found if matching & _inodes(each)]


def _inodes(each: Connection) -> set[int]:
    ends = (each.client, each.server)
    inodes = {end.inode for end in ends if end}
    return inodes | {each.listener.inode} if each.listener else inodes


def _row(each: Connection, held: Holders) -> Row:
    client, server = (held[end.inode] if end else [] for end in (each.client, each.server))
    return Row(each, client, server, held[each.listener.inode] if each.listener else [])


def _pids(row: Row) -> set[int]:
    """Return the processes that take part; a listener's do while its client waits."""
    waiting = row.listener if row.connection.server is None else ()
    return {each.pid for each in (*row.client, *row.server, *waiting)}


def _check_readable(pid: int) -> None:
    try:
        os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - only to see whether it can be read
    except FileNotFoundError:
        raise UsageError(f"no such process: {pid}", "see ps -e") from None
    except PermissionError:
        cause = f"inspecting process {pid} failed: Permission denied (13)"
        raise NotPermittedError(cause, "only root sees other users' processes") from None


def _order(row: Row) -> tuple[bytes, str, list[int], int]:
    each = row.connection
    end = each.client or each.server
    return each.name or b"", each.state, [h.pid for h in row.client], end.inode if end else 0


def _end_as_json(end: End | None, holders: Sequence[HoldingProcess]) -> dict[str, Any] | None:
    if end is None:
        return None
    sock = end.socket
    return {
        "inode": end.inode,
        "path": escape(sock.name) if sock and sock.name else None,
        "unread": sock.queue if sock else None,
        "user": user_name(sock.uid) if sock and sock.uid is not None else None,
        "processes": [process_as_json(each) for each in holders],
    }


def _of_address(row: Row) -> list[list[str]]:
    each = row.connection
    clients, servers = _shown(each.client, row.client), _shown(each.server, row.server)
    first = [_state(row), _unread(each.server), _unread(each.client), clients[0], servers[0]]
    return [first, *_more(["", "", ""], clients, servers)]


def _of_process(pid: int, row: Row) -> list[list[str]]:
    each = row.connection
    is_client = any(holder.pid == pid for holder in row.client)
    own, peer = (each.client, each.server) if is_client else (each.server, each.client)
    side = "either" if each.state == "pair" else "client" if is_client else "server"
    peers = _shown(peer, row.server if is_client else row.client)
    path = render.name(each.name) if each.name else "-"
    first = [_state(row), _unread(own), _unread(peer), side, peers[0], path]
    return [first, *([*[""] * 4, other, ""] for other in peers[1:])]


def _more(blank: list[str], *columns: list[str]) -> list[list[str]]:
    lines = max(map(len, columns))
    padded = [[*column, *[""] * (lines - len(column))] for column in columns]
    return [[*blank, *cells] for cells in list(zip(*padded, strict=True))[1:]]


def _state(row: Row) -> str:
    state = row.connection.state
    if state == "accepted" and row.is_passed_on:
        state = "passed on"
    return render.colour(state, _COLOURS[state]) if state in _COLOURS else state


def _unread(end: End | None) -> str:
    return "-" if end is None or end.socket is None else str(end.socket.queue)


def _shown(end: End | None, holders: Sequence[HoldingProcess]) -> list[str]:
    if end is None:
        return ["-"]
    if holders:
        return [f"{each.command or 'unknown'} ({each.pid}, {each.user})" for each in holders]
    uid = end.socket.uid if end.socket else None
    return ["unknown" if uid is None else f"unknown ({user_name(uid)})"]
