"""localechoctl peers: who is connected."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from localechod.ctl import render
from localechod.ctl.completion import endpoint_names
from localechod.ctl.session import ask
from localechod.ctl.status import duration
from localechod.localsocket.peer import command, user_name

if TYPE_CHECKING:
    from localechod.control.about import PeerRow

_HEADERS = ("ENDPOINT", "PID", "USER", "COMMAND", "CONNECTED", "MESSAGES", "IN", "OUT")


def peers(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="One endpoint; without it, all.",
            show_default=False,
            autocompletion=endpoint_names,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show who is connected; who is no administrator sees only his own connections.

    Pid and user are the kernel's word from when the peer connected. The command is looked up now,
    and unknown where the process has gone or is hidden.

    Examples:
        localechoctl peers stream
        localechoctl peers --json
    """
    rows = ask(ctx.obj, lambda client: client.peers(name))
    if json:
        render.emit_json([as_json(row) for row in rows])
    elif rows:
        render.emit(render.table(_HEADERS, map(_row, rows)))
    else:
        render.emit("nobody is connected")


def as_json(row: "PeerRow") -> dict[str, Any]:
    """Return one peer in the documented form; an unknown command is null."""
    return {
        "endpoint": row.endpoint,
        "pid": row.pid,
        "uid": row.uid,
        "user": user_name(row.uid),
        "command": command(row.pid) or None,
        "connected_seconds": row.since,
        "messages": row.messages,
        "received_bytes": row.received_bytes,
        "sent_bytes": row.sent_bytes,
    }


def _row(row: "PeerRow") -> list[str]:
    return [
        row.endpoint,
        str(row.pid),
        f"{user_name(row.uid)} ({row.uid})",
        command(row.pid) or "unknown",
        duration(row.since),
        str(row.messages),
        str(row.received_bytes),
        str(row.sent_bytes),
    ]
