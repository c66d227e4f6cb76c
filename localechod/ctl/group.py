"""A group of commands that imports a command's module when that command is invoked.

The list of commands, their summaries and the completion of their names come from a table, so that
`--help` and the Tab key do not load gRPC.
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
class CommandSpec:
    """The module and the summary of a command.

    Attributes:
        module: the module's name in `localechod.ctl.commands`.
        attribute: the function, or the typer application of a group, in that module.
        summary: one line for the list of commands.
    """

    module: str
    attribute: str
    summary: str


class LazyCommand(TyperCommand):
    """A command whose module is imported when it is invoked; until then it has only a summary."""

    def __init__(self, name: str, spec: CommandSpec) -> None:
        super().__init__(name, help=spec.summary, rich_markup_mode=None)
        self.spec = spec

    def load(self) -> Any:
        """Import the module and return the real command."""
        found = getattr(
            import_module(f"localechod.ctl.commands.{self.spec.module}"), self.spec.attribute
        )
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            single.command(self.name)(found)
            found = single
        return prepare(typer.main.get_command(found))


class LazyGroup(Group):
    """A group whose commands may be lazy ones."""

    def add_lazy_commands(self, specs: Mapping[str, CommandSpec]) -> None:
        """Add commands, in this order."""
        for name, spec in specs.items():
            self.add_command(LazyCommand(name, spec))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command to invoke; a lazy one is loaded here and nowhere else."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest


def prepare(command: Any) -> Any:
    """Let a typer command parse its values without pydantic, and format its help like a manual."""
    lighten(command)
    _format_help(command)
    return command


def _format_help(command: Any) -> None:
    """Set a command's help, and its parameters' attributes `metavar` and `display_type_rich`.

    The latter is not documented by typer. test_ctl_app.py fails where typer no longer calls it.
    """
    # Paragraphs with indented lines are examples; "\b" keeps their line breaks.
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(
        f"\b\n{text}" if re.search(r"(?m)^ +\S", text) else text for text in paragraphs
    )
    for param in command.params:
        if param.param_type_name == "argument":
            # typer shows "[[NAME]...]... <list[str]>"; NAME alone says enough.
            param.metavar = (param.metavar or param.name.upper()).strip("[].")
            param.display_type_rich = _untyped
    for child in getattr(command, "commands", {}).values():
        _format_help(child)


def _untyped(ctx: Any) -> str:  # noqa: ARG001 - the signature is typer's
    return ""
