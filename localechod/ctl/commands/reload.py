"""localechoctl reload: have the daemon read its configuration again."""

from typing import Annotated

import typer

from localechod.ctl import render
from localechod.ctl.session import client


def reload(
    ctx: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read the configuration again and apply what has changed.

    Returns when it is applied. An invalid file changes nothing; the exit status is then 78.

    Example:
        localechoctl reload
    """
    report = client(ctx.obj).reload()
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
