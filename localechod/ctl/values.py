"""Option values without pydantic.

typer builds a pydantic validator for every parameter, and importing pydantic takes longer than all
the rest of `localechoctl send`. The kinds of values here need no validator: text, paths, numbers,
one of a few words, and flags. Other kinds are left to typer, which is correct but slower, and fails
where pydantic is missing: the Debian package does not depend on it.
"""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

HELP = ("--help", "-h")
"""The names of the help option, of every command."""

_NUMBERS: dict[type, tuple[Callable[[str], float], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
}


class PlainValue:
    """Converts the values of one parameter, in place of typer's own RuntimeParam.

    Attributes:
        convert: returns the value of one word of the command line, or raises ValueError.
    """

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        self.convert = convert

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of a parameter, a tuple where it may occur many times.

        Raises:
            typer.BadParameter: the value cannot be converted; its text is the reason.
        """
        many = param.multiple or param.nargs == -1
        if value is None:
            return () if many else None
        try:
            return tuple(map(self.convert, value)) if many else self.convert(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from error


def lighten(command: Any) -> None:
    """Let a command and its subcommands convert their parameters without pydantic.

    Only this function uses typer's private attribute `_runtime_param`, in which a parameter keeps
    its converter, made when it is first needed. A typer without that attribute is left as it is.
    test_ctl_values.py fails where typer no longer uses it.
    """
    # The help option is a parameter as well; typer makes it when it is first asked for.
    for param in command.get_params(typer.Context(command, help_option_names=list(HELP))):
        if getattr(param, "_runtime_param", param) is None:
            plain = _reader(param)
            if plain is not None:
                param._runtime_param = plain  # noqa: SLF001 - see above
    for child in getattr(command, "commands", {}).values():
        lighten(child)


def _reader(param: Any) -> PlainValue | None:
    described = param.type_descriptor
    kind = described.annotation
    if kind in {list[str], str}:
        return PlainValue(str)
    if kind is Path:
        return PlainValue(Path)
    if kind is bool:
        # Flags without a default are None until they are given; a given one is a bool already.
        return PlainValue(bool)
    if described.choices is not None and all(isinstance(word, str) for word in described.choices):
        return PlainValue(one_of(described.choices))
    if kind in _NUMBERS and described.parameter_info.min is described.parameter_info.max is None:
        return PlainValue(number(*_NUMBERS[kind]))
    return None


def one_of(words: Iterable[str]) -> Callable[[str], str]:
    """Return a converter that accepts only these words."""
    known = tuple(words)

    def convert(word: str) -> str:
        if word not in known:
            raise ValueError(f"{word!r} is not one of {', '.join(known)}")
        return word

    return convert


def number(read: Callable[[str], float], kind: str) -> Callable[[str], float]:
    """Return a converter for finite numbers; "nan" and "inf" are neither counts nor durations."""

    def convert(word: str) -> float:
        try:
            value = read(word)
        except ValueError:
            raise ValueError(f"{word!r} is not {kind}") from None
        if not math.isfinite(value):
            raise ValueError(f"{word!r} is not {kind}")
        return value

    return convert
