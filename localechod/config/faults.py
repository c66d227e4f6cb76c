"""The faults of an endpoint: what it does wrong on purpose, so that clients can be tested.

Every key is a fault, but for `seed`. FITS has the types of endpoint that each fits.
"""

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, to_builtins

Wait: TypeAlias = Annotated[float, Meta(ge=0, le=3600)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000_000)]

_WAIT = "must be a number of seconds from 0 (none) to 3600"
_SHARE = "must be a share from 0 (none) to 1 (all)"
_MESSAGES = "must be a number of messages, 0 (never) or more"
_SWITCH = "must be true or false"

# The reason why a value is refused; see REASONS in schema.py.
FAULT_REASONS = {
    "delay": _WAIT,
    "jitter": _WAIT,
    "pieces": "must be a number of bytes, 0 (whole replies) or more",
    "pause": _WAIT,
    "truncate": "must be a number of bytes, 0 or more",
    "close_after": _MESSAGES,
    "reset_after": _MESSAGES,
    "close_on_accept": _SWITCH,
    "reset_on_accept": _SWITCH,
    "never_accept": _SWITCH,
    "never_read": _SWITCH,
    "never_reply": _SWITCH,
    "half_close": _SWITCH,
    "drop": _SHARE,
    "duplicate": _SHARE,
    "reorder": _SHARE,
    "corrupt": _SHARE,
    "refuse_descriptors": _SWITCH,
    "die_after": _MESSAGES,
    "seed": "must be a number from 0 to 9007199254740991",
}

_CONNECTED = ("stream", "seqpacket")
_RECORDS = ("datagram", "seqpacket")

# Faults that do not fit every type: the types, and the reason why others are refused.
FITS = {
    **dict.fromkeys(("pieces", "pause"), (("stream",), "the kernel keeps records whole")),
    **dict.fromkeys(
        (
            *("truncate", "close_after", "reset_after", "close_on_accept", "reset_on_accept"),
            *("never_accept", "half_close"),
        ),
        (_CONNECTED, "datagrams have no connections"),
    ),
    **dict.fromkeys(
        ("drop", "duplicate", "reorder"), (_RECORDS, "a stream loses and repeats no bytes")
    ),
}


class Faults(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`faults` of an endpoint: seconds, bytes, messages, or shares of all messages; see FITS."""

    delay: Wait = 0.0
    jitter: Wait = 0.0
    pieces: Count = 0
    pause: Wait = 0.0
    truncate: Count | None = None
    close_after: Count = 0
    reset_after: Count = 0
    close_on_accept: bool = False
    reset_on_accept: bool = False
    never_accept: bool = False
    never_read: bool = False
    never_reply: bool = False
    half_close: bool = False
    drop: Share = 0.0
    duplicate: Share = 0.0
    reorder: Share = 0.0
    corrupt: Share = 0.0
    refuse_descriptors: bool = False
    die_after: Count = 0
    # The largest integer that every reader of JSON has exactly.
    seed: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0

    def set_keys(self) -> dict[str, float]:
        """Return the keys that differ from their defaults, with their values."""
        found: dict[str, float] = to_builtins(self)
        return found

    def __bool__(self) -> bool:
        """Whether there is any fault."""
        return bool(self.set_keys().keys() - {"seed"})


def conflict(given: Mapping[str, object], kind: str) -> tuple[str, str] | None:
    """Return a key that does not go with the type or with another key, and why; None if all do.

    Args:
        given: the keys that are set, with their values.
        kind: stream, datagram or seqpacket.
    """
    for key, (types, reason) in FITS.items():
        if key in given and kind not in types:
            return key, f"only for {' or '.join(types)}: {reason}"
    if "pause" in given and not given.get("pieces"):
        return "pause", "has no effect without pieces"
    if given.get("half_close") and given.get("reset_after"):
        return (
            "reset_after",
            "does not go with half_close: the reset could come before the end of file",
        )
    return None
