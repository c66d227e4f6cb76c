"""localechoctl version: the versions of client and daemon."""

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
    """Show the versions of this program and of the daemon, if it runs.

    Example:
        localechoctl version
    """
    if not as_json:
        # Printed first, so that it is shown even if the call fails.
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
