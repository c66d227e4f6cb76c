"""localechoctl sockets: every local socket of this host, and the processes that hold it."""

import socket
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from localechod.accounts import is_number, uid_of, user_name
from localechod.ctl import render
from localechod.ctl.listing import process_as_json, uninspected, unlisted
from localechod.ctl.matching import matcher
from localechod.errors import UsageError
from localechod.explain import netns
from localechod.explain.processes import HoldingProcess, describe, holding_processes
from localechod.localsocket import diag
from localechod.localsocket.diag import DiagSocket
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

Type = Literal["stream", "datagram", "seqpacket"]

# net/tcp_states.h, whose numbers AF_UNIX uses as well
_STATES = {1: "connected", 7: "unconnected", 10: "listening"}
_COLOURS = {"listening": "green"}
_HEADERS = ("TYPE", "STATE", "QUEUE", "BACKLOG", "INODE", "PATH")
_INDENT = "    "


def sockets(  # noqa: PLR0913, PLR0917 - typer makes an option of each
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATTERN]",
            help="A path, @NAME, or a pattern of names, with * and ? as in a shell.",
            show_default=False,
        ),
    ] = None,
    listening: Annotated[
        bool, typer.Option("--listening", "-l", help="Only sockets that wait for clients.")
    ] = False,
    kind: Annotated[Type | None, typer.Option("--type", help="Only this socket type.")] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="USER", help="Only sockets that a process of this user holds."),
    ] = None,
    map_: Annotated[
        Path | None,
        typer.Option(
            "--map", metavar="FILE", help="Draw all connections: FILE.html, FILE.svg or FILE.dot."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the local sockets of this host, and all processes that hold them.

    For a listener, QUEUE is the number of connections that wait to be accepted, and BACKLOG their
    limit. For other sockets, QUEUE is the bytes to be read, and BACKLOG the memory of what the
    peer has not read. For datagrams, QUEUE counts the next one only: the kernel tells no more.

    A path finds the socket of that file under any name. Only sockets of this network namespace are
    listed. Only root sees the processes of other users.

    --map draws units, processes and the connections between them, in all network namespaces that
    can be entered. A client that is not accepted, and bytes that are not read, for 0.1 s are
    stuck, and red. The page (.html) needs no network: search it, and click a unit to open it. The
    picture (.svg) has two columns; graphviz makes others from FILE.dot.

    Examples:
        localechoctl sockets --listening
        localechoctl sockets /var/run/docker.sock
        localechoctl sockets '/run/docker*'
        localechoctl sockets --type datagram --user root --json
        localechoctl sockets --map host.html
    """
    if map_ is not None:
        if pattern is not None or listening or kind or user or json:
            raise UsageError("--map draws all sockets", "leave out what selects some of them")
        _draw(map_)
        return
    chosen = None if pattern is None else matcher(pattern)
    try:
        listed = diag.sockets()
    except OSError as error:
        raise unlisted(error) from None
    wanted = [
        each
        for each in listed
        if (kind is None or TYPE_NAMES.get(each.type) == kind)
        and (not listening or _waits(each))
        and (chosen is None or chosen(each))
    ]
    held, unreadable = holding_processes(wanted)
    if user is not None:
        name = _user(user)
        wanted = [each for each in wanted if any(h.user == name for h in held[each.inode])]
    wanted.sort(key=_order)
    if json:
        render.emit_json([as_json(each, held[each.inode]) for each in wanted])
    else:
        render.emit(as_text([(each, held[each.inode]) for each in wanted]))
    sys.stdout.flush()
    if unreadable:
        sys.stderr.write(f"{uninspected(unreadable)}\n")
    if not wanted and (others := _other_namespaces()):
        sys.stderr.write(f"no such socket in this network namespace; {others}\n")


def _draw(path: Path) -> None:
    from localechod.ctl.hostmap.file import draw  # noqa: PLC0415 - for a map only

    line, notes = draw(path)
    render.emit(line)
    sys.stdout.flush()
    sys.stderr.writelines(f"{note}\n" for note in notes)


def _other_namespaces() -> str:
    """Return which network namespaces were not searched; a path works across all of them."""
    there = netns.survey()
    return netns.unsearched(len(there.pids) - 1 if there.complete else None)


def as_json(each: DiagSocket, holders: Sequence[HoldingProcess]) -> dict[str, Any]:
    """Return one socket in the documented form; a name is escaped, None where there is none."""
    return {
        "type": _type(each),
        "state": _state(each),
        "path": _name(each),
        "inode": each.inode,
        "queue": each.queue,
        "backlog": each.backlog,
        "holders": [process_as_json(holder) for holder in holders],
    }


def as_text(rows: Iterable[tuple[DiagSocket, Sequence[HoldingProcess]]]) -> str:
    """Return a row for each socket and, indented below it, a line for each process."""
    pairs = list(rows)
    headers, *table = render.table(_HEADERS, (_row(each) for each, _ in pairs)).splitlines()
    lines = [headers]
    for (_, holders), line in zip(pairs, table, strict=True):
        lines += [line, *(_INDENT + describe(holder) for holder in holders)]
    return "\n".join(lines)


def _row(each: DiagSocket) -> list[str]:
    state = _state(each)
    return [
        _type(each),
        render.colour(state, _COLOURS[state]) if state in _COLOURS else state,
        str(each.queue),
        str(each.backlog),
        str(each.inode),
        render.name(each.name) if each.name else "-",
    ]


def _type(each: DiagSocket) -> str:
    return TYPE_NAMES.get(each.type, str(each.type))


def _state(each: DiagSocket) -> str:
    if each.type == socket.SOCK_DGRAM:
        # The kernel's own state says "connected" as soon as a client has connected to it.
        return "connected" if each.has_peer else "unconnected"
    return _STATES.get(each.state, str(each.state))


def _name(each: DiagSocket) -> str | None:
    return escape(each.name) if each.name else None


def _waits(each: DiagSocket) -> bool:
    """Return whether it waits for clients, by the rule of `ss -l`.

    That is a listener, or a datagram socket with a name and no peer.
    """
    if each.type == socket.SOCK_DGRAM:
        return each.name is not None and not each.has_peer
    return each.state == diag.STATE_LISTEN


def _order(each: DiagSocket) -> tuple[bool, bytes, int]:
    """Return the sort key: by name, unnamed sockets last."""
    return each.name is None, each.name or b"", each.inode


def _user(text: str) -> str:
    """Return a user's name as `HoldingProcess.user` has it.

    Raises:
        UsageError: there is no such user.
    """
    uid = int(text) if is_number(text) else uid_of(text)
    if uid is None:
        raise UsageError(f"no such user: {escape(text)}", "see getent passwd")
    return user_name(uid)
