"""Decides what an endpoint or a relay with faults does, with each connection and message. No I/O.

Everything follows from the settings and from two numbers: that of the connection, counted from 1
since the endpoint was started, and that of the message on it. So a failure can be run again, with
the same seed. Datagrams count as the messages of one connection, whose number is 0. A relay's
messages are the replies that it reads.
"""

from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import NamedTuple, TypeVar

from localechod.config.faults import Faults

try:  # hashlib has it from there, and loads OpenSSL too: 3.4 MiB and 3 ms of the daemon's start
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

T = TypeVar("T")


class Step(Enum):
    """What a connection does next, while no reply waits."""

    READ = auto()
    IGNORE = auto()  # never read
    CLOSE = auto()  # the client reads end of file
    RESET = auto()  # the client gets ECONNRESET
    HALF_CLOSE = auto()  # the client reads end of file; its messages are read, and not answered


class Outcome(NamedTuple):
    """What becomes of one message.

    Attributes:
        replies: to send, in this order; none, if it is dropped or held back.
        wait: seconds before the first of them.
        held: a reply that is sent after the next one.
        ends: the connection closes after the replies.
        done: the faults that this does, by name.
    """

    replies: tuple[bytes, ...]
    wait: float
    held: bytes | None
    ends: bool
    done: tuple[str, ...]


def next_step(faults: Faults, messages: int) -> tuple[Step, str]:
    """Return what a connection does after so many messages, and which fault that is ("": none)."""
    new = not messages
    table = (
        (faults.never_read, Step.IGNORE, "never_read"),
        (new and faults.close_on_accept, Step.CLOSE, "close_on_accept"),
        (new and faults.reset_on_accept, Step.RESET, "reset_on_accept"),
        (0 < faults.close_after <= messages, Step.CLOSE, "close_after"),
        (0 < faults.reset_after <= messages, Step.RESET, "reset_after"),
        (faults.half_close and not new, Step.HALF_CLOSE, "half_close"),
    )
    found = (row for row in table if row[0])
    _, step, fault = next(found, (True, Step.READ, ""))
    return step, fault


def decide(
    faults: Faults, connection: int, message: int, reply: bytes, held: bytes | None
) -> Outcome:
    """Return what becomes of one message.

    Args:
        faults: of the endpoint.
        connection: its number.
        message: its number on that connection, from 1.
        reply: what a good endpoint would send.
        held: the `held` of the message before.
    """
    share = partial(draw, faults.seed, connection, message)
    if faults.never_reply:
        return Outcome((), 0, None, ends=False, done=("never_reply",))
    if share("drop") < faults.drop:
        return Outcome((), 0, held, ends=False, done=("drop",))
    done = []
    if reply and share("corrupt") < faults.corrupt:
        reply = flipped(reply, int(share("bit") * len(reply) * 8))
        done.append("corrupt")
    ends = faults.truncate is not None and len(reply) > faults.truncate
    if ends:
        reply = reply[: faults.truncate]
        done.append("truncate")
    replies, held, reordered = _ordered(faults, share, reply, held, last=ends)
    done += reordered
    wait = faults.delay + faults.jitter * share("jitter") if replies else 0.0
    if wait:
        done.append("delay" if faults.delay else "jitter")
    if replies and 0 < faults.pieces < len(reply):
        done.append("pieces")
    return Outcome(replies, wait, held, ends, tuple(done))


def _ordered(
    faults: Faults, share: Callable[[str], float], reply: bytes, held: bytes | None, *, last: bool
) -> tuple[tuple[bytes, ...], bytes | None, list[str]]:
    """Return what is sent now, what is held back, and which faults these are."""
    replies: tuple[bytes, ...] = (reply,) if reply or not last else ()
    done = []
    if share("duplicate") < faults.duplicate:
        replies *= 2
        done.append("duplicate")
    if held is not None:
        return (*replies, held), None, done
    if share("reorder") < faults.reorder and len(replies) == 1 and not last:
        return (), reply, ["reorder"]
    return replies, None, done


def with_held(
    outcome: Outcome, held: T | None, make: Callable[[bytes], T]
) -> tuple[list[T], T | None]:
    """Return what is sent now, and what is held back, where a reply is more than its bytes.

    Args:
        outcome: of `decide`.
        held: what was held back before.
        make: makes such a reply of the bytes of the present one.
    """
    if outcome.held is not None:
        return list(map(make, outcome.replies)), make(outcome.held) if held is None else held
    if held is None or not outcome.replies:
        return list(map(make, outcome.replies)), None
    return [*map(make, outcome.replies[:-1]), held], None


def draw(seed: int, connection: int, message: int, fault: str) -> float:
    """Return a number from 0 to 1, without 1; the same for the same arguments, in any version."""
    text = f"{seed} {connection} {message} {fault}".encode()
    return int.from_bytes(blake2b(text, digest_size=6).digest(), "big") / 2**48


def flipped(data: bytes, bit: int) -> bytes:
    """Return bytes with one bit changed."""
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]
