"""Errors of the command line: one line, which names the command whose --help says more.

typer by itself prints the usage, a hint, an empty line and the error.
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

# click's UsageError. typer used to import click and has a copy of it today; of either it exports
# only BadParameter, a subclass of UsageError. test_ctl_usage.py fails where that changes.
_PARSER_ERROR: Any = typer.BadParameter.__mro__[1]


class Group(TyperGroup):
    """A group of commands that reports a wrong command line like any other error."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command's name; without arguments, show the help.

        Raises:
            UsageError: they are wrong.
        """
        if not args and not ctx.resilient_parsing:
            sys.stderr.write(ctx.get_help() + "\n")
            raise typer.Exit(UsageError.exit_status)
        with _as_our_errors(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command to invoke.

        Raises:
            UsageError: there is no command of that name; the hint names similar ones.
        """
        if args[0] not in self.commands and not ctx.resilient_parsing:
            close = get_close_matches(args[0], self.commands)
            meant = f"did you mean {', '.join(close)}? " if close else ""
            text = f"there is no command {printable(args[0])}"
            raise UsageError(text, f"{meant}see {ctx.command_path} --help")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Parse the command's own arguments, and run it.

        Raises:
            UsageError: they are wrong.
        """
        with _as_our_errors(ctx):
            return super().invoke(ctx)


@contextmanager
def _as_our_errors(group: Any) -> Iterator[None]:
    try:
        yield
    except _PARSER_ERROR as error:
        # Where an option lacks its value, the error does not name the command.
        where = error.ctx or group
        command = f"{where.command_path} {where.invoked_subcommand or ''}".rstrip()
        text = printable(error.format_message()).rstrip(".")
        raise UsageError(text[:1].lower() + text[1:], f"see {command} --help") from None
