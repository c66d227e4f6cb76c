"""What becomes of a wrong command line: one line, and the command whose help tells more.

Left alone, typer prints the usage, an invitation, an empty line and the error.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import typer
from typer.core import TyperGroup

from localechod.errors import UsageError
from localechod.text import printable

# click's UsageError. typer used to import click and has a click of its own today; what it exports
# of either is BadParameter, which is a child of that one.
_PARSER_ERROR: Any = typer.BadParameter.__mro__[1]


class Group(TyperGroup):
    """A group of commands that tells a wrong command line as any other error is told."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options before the command's name; without any word, show the help.

        Raises:
            UsageError: they are wrong.
        """
        if not args and not ctx.resilient_parsing:
            sys.stderr.write(ctx.get_help() + "\n")
            raise typer.Exit(UsageError.exit_status)
        with _told_as_ours(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command to invoke.

        Raises:
            UsageError: there is none of that name; it names those that look like it.
        """
        if args[0] not in self.commands and not ctx.resilient_parsing:
            close = get_close_matches(args[0], self.commands)
            meant = f"did you mean {', '.join(close)}? " if close else ""
            text = f"there is no command {printable(args[0])}"
            raise UsageError(text, f"{meant}see {ctx.command_path} --help")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Read the command's own words, and run it.

        Raises:
            UsageError: they are wrong.
        """
        with _told_as_ours(ctx):
            return super().invoke(ctx)


@contextmanager
def _told_as_ours(group: Any) -> Iterator[None]:
    try:
        yield
    except _PARSER_ERROR as error:
        # An option that lacks its value is told without saying of which command it is.
        where = error.ctx or group
        command = f"{where.command_path} {where.invoked_subcommand or ''}".rstrip()
        text = printable(error.format_message()).rstrip(".")
        raise UsageError(text[:1].lower() + text[1:], f"see {command} --help") from None
