"""localechoctl peers: the peers of our endpoints, of any local socket, or of a process."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from localechod.accounts import user_name
from localechod.ctl import render
from localechod.ctl.commands.status import duration
from localechod.ctl.completion import endpoint_names
from localechod.ctl.options import Options
from localechod.ctl.session import client
from localechod.ctl.target import find, read_address
from localechod.localsocket.address import Address
from localechod.localsocket.notation import is_address
from localechod.localsocket.peer import command, pid_namespace

if TYPE_CHECKING:
    from localechod.control.messages import PeerRow

_HEADERS = ("ENDPOINT", "PID", "USER", "COMMAND", "CONNECTED", "MESSAGES", "IN", "OUT")


def peers(
    ctx: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]",
            help="An endpoint's name, a path, or @NAME; by default all endpoints.",
            show_default=False,
            autocompletion=endpoint_names,
        ),
    ] = None,
    pid: Annotated[
        int | None, typer.Option(metavar="PID", help="Only connections of this process.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the connected peers of localechod's endpoints, of any local socket, or of a process.

    The peers of an endpoint come from the daemon; non-administrators see only their own
    connections. Pid and user are the kernel's, of the time when the peer connected. The pid is 0
    where the daemon cannot see it. The command is looked up now; it is unknown where the process
    has ended or is hidden, or where the daemon runs in another container.

    With a path, @NAME or --pid, the connections come from the kernel, and the processes are those
    that hold them now. TO-SERVER and TO-CLIENT are the bytes that are not read yet; UNREAD and SENT
    are those that the process, and its peer, has not read. A waiting connection is not accepted
    yet; one that is passed on is held by a process that does not listen, or by several. Senders
    that do not connect their datagram socket are not seen. Only root sees the processes of others.

    Examples:
        localechoctl peers stream
        localechoctl peers /run/docker.sock
        localechoctl peers --pid 4242 --json
    """
    if pid is None and (target is None or not is_address(target)):
        _show_endpoints(ctx.obj, target, json=json)
        return
    # The daemon's own peers need neither the kernel's list nor the processes of this host.
    from localechod.ctl import connections  # noqa: PLC0415 - see above

    raw = None if target is None else _raw(target, ctx.obj)
    connections.show(connections.find(raw, pid), pid, json=json)


def _raw(target: str, options: Options) -> bytes:
    entry = find(target, options)
    return read_address(target) if entry is None else Address.parse(entry.path).raw


def _show_endpoints(options: Options, name: str | None, *, json: bool) -> None:
    report = client(options).peers(name)
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
