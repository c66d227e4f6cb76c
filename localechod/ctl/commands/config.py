"""localechoctl config: show the effective configuration, check a file, print the default."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from localechod import config
from localechod.ctl import render
from localechod.ctl.session import client
from localechod.ctl.usage import Group
from localechod.text import escape

app = typer.Typer(cls=Group, add_completion=False, rich_markup_mode=None)


@app.callback()
def _config() -> None:
    """Show, check or print a configuration.

    Examples:
        localechoctl config check /etc/localechod/localechod.toml
        localechoctl config show
    """


@app.command(short_help="Print the effective configuration.")
def show(ctx: typer.Context) -> None:
    """Print the daemon's effective configuration, with every default, as TOML.

    Example:
        localechoctl config show
    """
    sys.stdout.write(client(ctx.obj).config())


@app.command(short_help="Validate a file, without a daemon.")
def check(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A configuration in TOML.", show_default=False)
    ],
) -> None:
    """Validate a configuration file; this needs no daemon and changes nothing.

    If the file is invalid, it prints a line for each mistake; the exit status is 78.

    Example:
        localechoctl config check /etc/localechod/localechod.toml
    """
    for warning in config.warnings(config.load(Path(file), ctx.obj.runtime_directory())):
        sys.stderr.write(f"warning: {warning}\n")
    render.emit(f"{escape(file)}: ok")


@app.command(short_help="Print the shipped configuration.")
def default() -> None:
    """Print the shipped configuration, which the daemon uses without a file.

    Example:
        localechoctl config default > localechod.toml
    """
    sys.stdout.write(config.default_text())
