"""Turns a table of TOML into a typed value, or says which key is wrong, and why."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from localechod.config.schema import REASONS
from localechod.text import escape

Table = Mapping[str, Any]
T = TypeVar("T", bound=msgspec.Struct)

_WHERE = re.compile(r" - at `\$\.?(?P<key>\w*)[^`]*`\Z")


class Mistake(Exception):  # noqa: N818 - a value on its way to becoming part of a ConfigError
    """One thing wrong with one key."""

    def __init__(self, key: str, reason: str, value: object = None) -> None:
        shown = "" if value is None else f" = {toml_text(value)}"
        super().__init__(f"{key}{shown}: {reason}")


def check_keys(table: Table, keys: Iterable[str], where: str) -> None:
    """Refuse a key that the table `where` does not have; `where` is "" or ends in a dot.

    Raises:
        Mistake: with the most similar key, if there is one.
    """
    for key in table:
        if key not in keys:
            close = difflib.get_close_matches(key, keys, 1)
            raise Mistake(
                f"{where}{escape(key)}",
                "unknown key" + (f"; did you mean {close[0]}?" if close else ""),
            )


def convert(kind: type[T], table: Table, prefix: str) -> T:
    """Return a table as a value of this type, with the defaults of keys that it does not have.

    Args:
        kind: the type.
        table: what was read.
        prefix: what a message has before a key.

    Raises:
        Mistake: a key is unknown or missing, or its value is not allowed.
    """
    check_keys(table, kind.__struct_fields__, prefix)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        at = _WHERE.search(str(error))
        if at is None or not at["key"]:
            missing = str(error).rpartition("`")[0].rpartition("`")[2]
            raise Mistake(f"{prefix}{missing}", f"missing; it {REASONS[missing]}") from error
        raise Mistake(f"{prefix}{at['key']}", REASONS[at["key"]], table[at["key"]]) from error


def toml_text(value: object) -> str:
    """Return a value as the file would have it, cut so that it fits a line."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{escape(value)}"' if isinstance(value, str) else escape(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."
