"""The decisions about faults foretell what a real client meets; no two runs differ.

FAULT_TRIALS=1000 tries more random settings.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localechod import config
from localechod.config.faults import FITS, Faults
from localechod.echo.supervisor import Supervisor
from localechod.fault_plan import Step, decide, draw, flipped, next_step
from tests.unit.restart_fakes import Kept, live

TRIALS = int(os.environ.get("FAULT_TRIALS", "40"))

# Part of the interface: a failure can be run again with a later version.
DRAWN = [0.424638, 0.111465, 0.725413]

COUNT = st.integers(0, 6)
SHARE = st.sampled_from([0.0, 0.2, 0.5, 1.0])
FAULTS: dict[str, st.SearchStrategy[object]] = {
    **dict.fromkeys(("close_after", "reset_after", "die_after"), COUNT),
    **dict.fromkeys(("drop", "duplicate", "reorder", "corrupt"), SHARE),
    **dict.fromkeys(("close_on_accept", "reset_on_accept", "never_reply", "half_close"),
                    st.sampled_from([False, False, False, True])),
    **dict.fromkeys(("delay", "jitter"), st.sampled_from([0.0, 0.0, 0.001])),
    "pieces": st.integers(0, 5),
    "truncate": st.sampled_from([None, None, 0, 3, 9]),
    "seed": st.integers(0, 1 << 50),
}  # fmt: skip


class Met(NamedTuple):
    """What a client has met: replies, in one piece on a stream, and how the connection ended."""

    replies: list[bytes]
    ending: str


def foretell(faults: Faults, kind: str, messages: Sequence[bytes]) -> Met:
    """Return what a client meets that sends all its messages at once, and then no more."""
    sent: list[bytes] = []
    held, ending, done = None, "end of file", 0
    while True:
        step, _ = next_step(faults, done)
        dead = done == faults.die_after > 0
        if step is Step.RESET and done < len(messages) and not dead:
            ending = "reset"
        if step is not Step.READ or done == len(messages) or dead:
            sent += [] if held is None else [held]
            break
        done += 1
        outcome = decide(faults, 1, done, messages[done - 1], held)
        held = outcome.held
        sent += outcome.replies
        if outcome.ends:
            sent += [] if held is None else [held]
            break
    return Met(sent if kind == "seqpacket" else [b"".join(sent)], ending)


def meet(path: str, kind: str, messages: Sequence[bytes]) -> Met:
    """Return what a real client meets."""
    replies, ending = [], "end of file"
    number = socket.SOCK_STREAM if kind == "stream" else socket.SOCK_SEQPACKET
    with socket.socket(socket.AF_UNIX, number) as sock:
        sock.settimeout(20)
        sock.connect(path)
        try:
            with suppress(BrokenPipeError):
                for message in messages:
                    sock.send(message)
            with suppress(OSError):  # ENOTCONN: it has ended already
                sock.shutdown(socket.SHUT_WR)
            while reply := sock.recv(1 << 16):
                replies.append(reply)
        except ConnectionResetError:
            ending = "reset"
    return Met(replies if kind == "seqpacket" else [b"".join(replies)], ending)


@pytest.mark.parametrize("kind", ["stream", "seqpacket"])
def test_the_plan_foretells_what_a_client_meets(sockdir: Path, kind: str) -> None:
    keys = {key: each for key, each in FAULTS.items() if kind in FITS.get(key, ([kind],))[0]}
    trials: list[tuple[dict[str, object], list[bytes]]] = []

    @settings(
        max_examples=TRIALS,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.fixed_dictionaries({}, optional=keys), st.integers(0, 8))
    def collect(faults: dict[str, object], count: int) -> None:
        if faults.get("half_close"):
            faults.pop("reset_after", None)  # these are refused together
        trials.append((faults, [b"message %d\n" % number for number in range(count)]))

    collect()
    assert len(trials) >= TRIALS

    async def act(supervisor: Supervisor) -> None:
        before = parsed(sockdir, kind, {})
        for faults, messages in chunk:
            after = parsed(sockdir, kind, faults)
            expected = foretell(after.endpoints["a"].faults, kind, messages)
            for _ in range(2):
                supervisor.apply(config.compare(before, after), after)
                supervisor.restart("a")
                met = await asyncio.to_thread(meet, str(sockdir / "a.sock"), kind, messages)
                assert met == expected, (faults, len(messages))
            before = after

    for first in range(0, len(trials), 20):  # each life has a deadline
        chunk = trials[first : first + 20]
        store = Kept()
        live(store, sockdir, text(kind, {}), act)
        store.close()


def text(kind: str, faults: dict[str, object]) -> str:
    values = {key: str(value).lower() for key, value in faults.items() if value is not None}
    shown = ", ".join(f"{key} = {value}" for key, value in values.items())
    return f'[endpoints.a]\ntype = "{kind}"\nprefix = ""\nfaults = {{ {shown} }}\n'


def parsed(directory: Path, kind: str, faults: dict[str, object]) -> config.Config:
    return config.parse(f"version = 1\n{text(kind, faults)}", directory, "file")


def test_draws_are_the_same_in_every_version() -> None:
    assert [round(draw(7, 1, message, "drop"), 6) for message in (1, 2, 3)] == DRAWN
    assert draw(7, 1, 1, "drop") != draw(8, 1, 1, "drop")
    assert draw(7, 1, 1, "drop") != draw(7, 2, 1, "drop")


def test_draws_are_spread_evenly() -> None:
    drawn = sorted(draw(3, 1, message, "corrupt") for message in range(1000))
    assert all(abs(each - place / 1000) < 0.1 for place, each in enumerate(drawn))


def test_one_bit_is_flipped() -> None:
    assert [flipped(b"\0\0", bit) for bit in (0, 7, 8)] == [b"\1\0", b"\x80\0", b"\0\1"]


def test_a_share_of_nothing_and_of_all() -> None:
    for message in range(1, 100):
        assert decide(Faults(drop=1), 1, message, b"x", None).done == ("drop",)
        assert decide(Faults(seed=9), 1, message, b"x", None) == ((b"x",), 0, None, False, ())
