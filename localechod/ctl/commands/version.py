"""localechoctl version: which client this is, and which daemon runs."""

from typing import Annotated

import typer

from localechod import __version__
from localechod.ctl import render
from localechod.ctl.session import client
from localechod.errors import DaemonNotRunningError
from localechod.text import escape


def version(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the version of this program and of the daemon that runs, if one does.

    Example:
        localechoctl version
    """
    if not as_json:
        # First, so that it is told also where the daemon may not be asked.
        render.emit(f"localechoctl {__version__}")
    try:
        daemon = client(ctx.obj).status().daemon
    except DaemonNotRunningError:
        daemon = None
    if as_json:
        render.emit_json({"client": __version__, "daemon": daemon and daemon.version})
    elif daemon is None:
        render.emit("localechod   not running")
    else:
        render.emit(f"localechod   {escape(daemon.version)} (pid {daemon.pid})")
