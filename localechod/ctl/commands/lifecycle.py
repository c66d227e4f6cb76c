"""localechoctl start, stop, restart, reload: what changes the daemon while it runs."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from localechod.ctl import render
from localechod.ctl.completion import endpoint_names
from localechod.ctl.session import ask
from localechod.errors import LocalechodError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from localechod.control.events import ControlClient
    from localechod.control.messages import EndpointStatus

    Change = Callable[[ControlClient, str], Awaitable[EndpointStatus]]

Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME...",
        help="Endpoints, each by its name.",
        show_default=False,
        autocompletion=endpoint_names,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def start(ctx: typer.Context, names: Names, json: Json = False) -> None:
    """Bind endpoints and let them listen.

    Example:
        localechoctl start stream
    """
    _each(ctx, names, lambda client, name: client.start(name), json=json)


def stop(ctx: typer.Context, names: Names, json: Json = False) -> None:
    """Close endpoints and their connections; the others serve on.

    Example:
        localechoctl stop stream datagram
    """
    _each(ctx, names, lambda client, name: client.stop(name), json=json)


def restart(ctx: typer.Context, names: Names, json: Json = False) -> None:
    """Stop endpoints and start them again.

    Example:
        localechoctl restart datagram
    """
    _each(ctx, names, lambda client, name: client.restart(name), json=json)


def reload(ctx: typer.Context, json: Json = False) -> None:
    """Read the configuration again and apply what has changed.

    Returns when it is applied. An invalid file changes nothing: exit status 78, and the reason.

    Example:
        localechoctl reload
    """
    report = ask(ctx.obj, lambda client: client.reload())
    parts = {
        "added": report.added,
        "changed": report.changed,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "restart_needed": report.restart_needed,
    }
    if json:
        render.emit_json({name: list(entries) for name, entries in parts.items()})
        return
    del parts["unchanged"]
    for name, entries in parts.items():
        if entries:
            render.emit(f"{name.replace('_', ' ')}: {', '.join(entries)}")
    if not any(parts.values()):
        render.emit("nothing has changed")


def _each(ctx: typer.Context, names: list[str], change: "Change", *, json: bool) -> None:
    """Apply a change to one endpoint after the other.

    All names are checked before anything is touched. After that one failure does not keep the
    others from their change, as with systemctl; the exit status is that of the first.
    """
    rows: list[EndpointStatus] = []
    errors: list[LocalechodError] = []

    async def conversation(client: "ControlClient") -> None:
        await client.status(names)
        for name in dict.fromkeys(names):
            try:
                rows.append(await change(client, name))
            except LocalechodError as error:
                errors.append(error)
                if len(names) > 1:
                    sys.stderr.write(f"{name}: {error}\n")

    ask(ctx.obj, conversation)
    if json:
        render.emit_json([{"name": row.name, "state": row.state} for row in rows])
    else:
        for row in rows:
            render.emit(f"{row.name}: {row.state}")
            if row.hint:
                sys.stderr.write(f"{row.name}: {row.hint}\n")
    if errors and len(names) == 1:
        raise errors[0]
    if errors:
        raise typer.Exit(errors[0].exit_status)
