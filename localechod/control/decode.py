"""Decoding of a reply from a server that need not be localechod."""

from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError

from localechod.control.connect import REPLY_ROWS

if TYPE_CHECKING:
    from google.protobuf.message import Message

M = TypeVar("M", bound="Message")

# Wire types (https://protobuf.dev/programming-guides/encoding/), and bytes of those of fixed size.
_VARINT, _DELIMITED = 0, 2
_FIXED = {1: 8, 5: 4}


class TooLongError(ValueError):
    """The message has more rows than a reply may have."""


def decoded(data: bytes, kind: type[M]) -> M:
    """Decode a message of at most REPLY_ROWS rows.

    Rows are counted first: an endpoint of two bytes takes two hundred once it is decoded.

    Raises:
        TooLongError: there are more rows.
        ValueError: the bytes are not such a message.
    """
    _check_rows(data)
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise ValueError(str(error)) from None


def _check_rows(data: bytes) -> None:
    """Count the outermost fields, of which each row is one."""
    at = count = 0
    while at < len(data):
        count += 1
        if count > REPLY_ROWS:
            raise TooLongError
        tag, at = _varint(data, at)
        if tag & 7 in _FIXED:
            at += _FIXED[tag & 7]
            continue
        value, at = _varint(data, at)
        if tag & 7 == _DELIMITED:
            at += value
        elif tag & 7 != _VARINT:
            raise ValueError(f"wire type {tag & 7}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at an offset, and the offset behind it."""
    value = shift = 0
    for byte in data[at : at + 10]:
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a number without end")
