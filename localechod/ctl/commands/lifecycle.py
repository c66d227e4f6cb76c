"""localechoctl start, stop and restart: change endpoints by name."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from localechod.ctl import render
from localechod.ctl.completion import endpoint_names
from localechod.ctl.session import client
from localechod.errors import LocalechodError

if TYPE_CHECKING:
    from collections.abc import Callable

    from localechod.control.client import Client
    from localechod.control.messages import EndpointStatus

    Change = Callable[[Client, str], EndpointStatus]

Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME...",
        help="Names of endpoints.",
        show_default=False,
        autocompletion=endpoint_names,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def start(ctx: typer.Context, names: Names, json: Json = False) -> None:
    """Bind endpoints and listen on them.

    Example:
        localechoctl start stream
    """
    _change(ctx, names, lambda daemon, name: daemon.start(name), json=json)


def stop(ctx: typer.Context, names: Names, json: Json = False) -> None:
    """Close endpoints and their connections; other endpoints are not affected.

    Example:
        localechoctl stop stream datagram
    """
    _change(ctx, names, lambda daemon, name: daemon.stop(name), json=json)


def restart(ctx: typer.Context, names: Names, json: Json = False) -> None:
    """Stop endpoints and start them again.

    Example:
        localechoctl restart datagram
    """
    _change(ctx, names, lambda daemon, name: daemon.restart(name), json=json)


def _change(ctx: typer.Context, names: list[str], change: "Change", *, json: bool) -> None:
    """Apply a change to one endpoint after the other.

    All names are checked before the first change: a single one by the daemon itself, in the same
    call. After that a failure of one endpoint does not keep the others from their change, as with
    systemctl; the exit status is that of the first failure.
    """
    daemon = client(ctx.obj)
    unique = list(dict.fromkeys(names))
    if len(unique) > 1:
        daemon.status(unique)
    rows: list[EndpointStatus] = []
    errors: list[LocalechodError] = []
    for name in unique:
        try:
            rows.append(change(daemon, name))
        except LocalechodError as error:
            if len(unique) == 1:
                raise
            errors.append(error)
            sys.stderr.write(f"{name}: {error}\n")
    if json:
        render.emit_json([{"name": row.name, "state": row.state} for row in rows])
    else:
        for row in rows:
            render.emit(f"{row.name}: {row.state}")
            if row.hint:
                sys.stderr.write(f"{row.name}: {row.hint}\n")
    if errors:
        raise typer.Exit(errors[0].exit_status)
