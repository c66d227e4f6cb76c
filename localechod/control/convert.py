"""Conversion between dataclasses and protobuf messages, by fields of the same name."""

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from localechod.text import printable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from google.protobuf.message import Message

# Every float on the wire is a number of seconds. So many before and after 1970 are dates that
# datetime can represent.
_LONGEST_SECONDS = 6e10

V = TypeVar("V", bound="DataclassInstance")
M = TypeVar("M", bound="Message")


def to_wire(value: "DataclassInstance", kind: type[M]) -> M:
    """Return a message of type `kind` with the fields of a dataclass; None leaves one unset."""
    present = {field.name: getattr(value, field.name) for field in fields(value)}
    return kind(**{name: _clean(item) for name, item in present.items() if item is not None})


def from_wire(message: "Message", kind: type[V]) -> V:
    """Return a dataclass of type `kind` with the fields of a message; an unset one is None.

    Text is made printable, so that no caller can forget to do it.

    Raises:
        ValueError: a number of seconds is not one that can be shown.
    """
    present = message.DESCRIPTOR.fields_by_name
    return kind(**{f.name: _read(message, present[f.name]) for f in fields(kind)})


def _clean(item: Any) -> Any:
    """Return text that UTF-8 can encode: a file name need not be UTF-8, a protobuf string is.

    Nothing that is displayed is lost: such bytes are shown as escapes anyway.
    """
    if isinstance(item, str):
        return item.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(item, dict):
        return {_clean(key): entry for key, entry in item.items()}
    if isinstance(item, Iterable):
        return [_clean(entry) for entry in item]
    return item


def _read(message: "Message", field: Any) -> Any:
    if field.has_presence and not message.HasField(field.name):
        return None
    item = getattr(message, field.name)
    if isinstance(item, str):
        return printable(item)
    if isinstance(item, float) and not abs(item) <= _LONGEST_SECONDS:  # or it is not a number
        raise ValueError(field.name)
    if isinstance(item, int | float):
        return item
    if hasattr(item, "items"):
        # A protobuf map has no fixed order.
        return {printable(key): item[key] for key in sorted(item)}
    return [printable(entry) for entry in item]
