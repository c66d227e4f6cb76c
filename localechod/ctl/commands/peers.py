"""localechoctl peers: the connected peers."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from localechod.accounts import user_name
from localechod.ctl import render
from localechod.ctl.commands.status import duration
from localechod.ctl.completion import endpoint_names
from localechod.ctl.session import client
from localechod.localsocket.peer import command, pid_namespace

if TYPE_CHECKING:
    from localechod.control.messages import PeerRow

_HEADERS = ("ENDPOINT", "PID", "USER", "COMMAND", "CONNECTED", "MESSAGES", "IN", "OUT")


def peers(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="One endpoint; by default all.",
            show_default=False,
            autocompletion=endpoint_names,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the connected peers; non-administrators see only their own connections.

    Pid and user are those of the time when the peer connected, from the kernel. The pid is 0 where
    the daemon cannot see it. The command is looked up now; it is unknown where the process has
    ended or is hidden, or where the daemon runs in another container.

    Examples:
        localechoctl peers stream
        localechoctl peers --json
    """
    report = client(ctx.obj).peers(name)
    same = report.pid_namespace == pid_namespace()
    rows = [(row, command(row.pid) if same else "") for row in report.peers]
    if json:
        render.emit_json([as_json(row, called) for row, called in rows])
    elif rows:
        render.emit(render.table(_HEADERS, (_row(row, called) for row, called in rows)))
    else:
        render.emit("no peers are connected")


def as_json(row: "PeerRow", called: str) -> dict[str, Any]:
    """Return one peer in the documented form; an unknown command ("") is null."""
    return {
        "endpoint": row.endpoint,
        "pid": row.pid,
        "uid": row.uid,
        "user": user_name(row.uid),
        "command": called or None,
        "connected_seconds": row.connected_seconds,
        "messages": row.messages,
        "received_bytes": row.received_bytes,
        "sent_bytes": row.sent_bytes,
    }


def _row(row: "PeerRow", called: str) -> list[str]:
    return [
        row.endpoint,
        str(row.pid),
        f"{user_name(row.uid)} ({row.uid})",
        called or "unknown",
        duration(row.connected_seconds),
        str(row.messages),
        str(row.received_bytes),
        str(row.sent_bytes),
    ]
