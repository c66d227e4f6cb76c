"""Option values without pydantic: the same values and the same errors, in plain words."""

import enum
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from localechod.ctl.app import build
from localechod.ctl.group import LazyCommand
from localechod.ctl.values import HELP, PlainValue, lighten


class Colour(enum.Enum):
    RED = "red"


def invoke(function: Any, *words: str) -> tuple[int, str]:
    """Run a function as a light command; return its exit status and everything it printed."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(function)
    command = typer.main.get_command(app)
    lighten(command)
    runner = CliRunner()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", lambda _: command)
        result = runner.invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def everything(
    name: str,
    words: Annotated[list[str] | None, typer.Argument()] = None,
    count: int = 3,
    seconds: float = 0.5,
    kind: Annotated[Literal["a", "b"] | None, typer.Option()] = None,
    loud: bool = False,
    tags: Annotated[list[str] | None, typer.Option("--tag")] = None,
) -> None:
    typer.echo(repr((name, words, count, seconds, kind, loud, tags)))


def test_an_option_that_is_not_given_has_its_default() -> None:
    assert invoke(everything, "n") == (0, "('n', None, 3, 0.5, None, False, None)\n")


def test_every_kind_of_value_is_read() -> None:
    words = ["n", "x", "y", "--count", "-7", "--seconds", "1e2", "--kind", "b", "--loud"]
    assert invoke(everything, *words, "--tag", "p", "--tag", "q") == (
        0,
        "('n', ['x', 'y'], -7, 100.0, 'b', True, ['p', 'q'])\n",
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--count", "1.5"], "'1.5' is not a whole number"),
        (["--seconds", "soon"], "'soon' is not a number"),
        (["--seconds", "nan"], "'nan' is not a number"),
        (["--seconds", "inf"], "'inf' is not a number"),
        (["--kind", "c"], "'c' is not one of a, b"),
        (["--kind", "\x1b[31m"], "'\\x1b[31m' is not one of a, b"),
    ],
)
def test_an_impossible_value_is_refused_with_the_reason(words: list[str], reason: str) -> None:
    status, output = invoke(everything, "n", *words)
    assert status == 2
    assert f"Invalid value for '{words[0]}': {reason}" in output


def test_a_value_that_is_required_is_missed() -> None:
    status, output = invoke(everything)
    assert status == 2
    assert "Missing argument 'NAME'" in output or "Missing argument 'name'" in output


def test_other_kinds_of_values_are_left_to_typer() -> None:
    def other(colour: Colour, level: Annotated[int, typer.Option(max=5)] = 1) -> None:
        typer.echo(f"{colour} {level}")

    assert invoke(other, "red", "--level", "5") == (0, "Colour.RED 5\n")
    assert invoke(other, "red", "--level", "6")[0] == 2
    assert invoke(other, "blue")[0] == 2


def test_typer_still_has_the_attribute_that_is_replaced() -> None:
    """Should typer rename it, commands would go on working, and load pydantic again."""
    app = typer.Typer(add_completion=False)
    app.command()(everything)
    command: Any = typer.main.get_command(app)
    assert all(param._runtime_param is None for param in command.params)
    lighten(command)
    light = [param._runtime_param for param in command.params]
    assert all(isinstance(value, PlainValue) for value in light)
    lighten(command)
    assert [param._runtime_param for param in command.params] == light


def test_the_commands_of_a_group_are_lightened_with_it() -> None:
    app = typer.Typer(add_completion=False)
    app.command("one")(everything)
    app.command("two")(everything)
    group: Any = typer.main.get_command(app)
    lighten(group)
    assert isinstance(group.commands["two"].params[0]._runtime_param, PlainValue)


def test_no_command_needs_pydantic() -> None:
    def read_otherwise(command: Any) -> list[str]:
        if isinstance(command, LazyCommand):
            command = command.load()
        context = typer.Context(command, help_option_names=list(HELP))
        found = [
            f"{command.name} {param.name}"
            for param in command.get_params(context)
            if not isinstance(getattr(param, "_runtime_param", None), PlainValue)
        ]
        children = getattr(command, "commands", {}).values()
        return [*found, *(name for child in children for name in read_otherwise(child))]

    assert read_otherwise(build()) == []
