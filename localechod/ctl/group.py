"""A group of commands that imports a command's module only when that command is invoked.

The list of commands, their summaries and the completion of their names come from a table, so that
neither `--help` nor the Tab key pays for gRPC.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

from localechod.ctl.usage import Group
from localechod.ctl.values import lighten


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is found, and what it is for.

    Attributes:
        module: its module's name in `localechod.ctl.commands`.
        attribute: the function, or the typer application of a group, in that module.
        summary: one line for the list of commands.
    """

    module: str
    attribute: str
    summary: str


class Promise(TyperCommand):
    """A command that is known by its summary only, until it is needed."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name, help=entry.summary, rich_markup_mode=None)
        self.entry = entry

    def fulfil(self) -> Any:
        """Import the module and return the real command."""
        found = getattr(
            import_module(f"localechod.ctl.commands.{self.entry.module}"), self.entry.attribute
        )
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            single.command(self.name)(found)
            found = single
        return prepare(typer.main.get_command(found))


class LazyGroup(Group):
    """A group whose commands may be promises."""

    def promise(self, entries: Mapping[str, Entry]) -> None:
        """Add commands, in this order."""
        for name, entry in entries.items():
            self.add_command(Promise(name, entry))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command to invoke; only here a promise is fulfilled."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.fulfil() if isinstance(command, Promise) else command, rest


def prepare(command: Any) -> Any:
    """Make a command of typer's read its values lightly, and its help read like a manual's."""
    lighten(command)
    _polish(command)
    return command


def _polish(command: Any) -> None:
    # Paragraphs with indented lines are examples: "\b" keeps them from being filled anew.
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(
        f"\b\n{text}" if re.search(r"(?m)^ +\S", text) else text for text in paragraphs
    )
    for param in command.params:
        if param.param_type_name == "argument":
            # "[[NAME]...]... <list[str]>" is typer's and Python's view; NAME alone says enough.
            param.metavar = (param.metavar or param.name.upper()).strip("[].")
            param.display_type_rich = _untyped
    for child in getattr(command, "commands", {}).values():
        _polish(child)


def _untyped(ctx: Any) -> str:  # noqa: ARG001 - the signature is typer's
    return ""
