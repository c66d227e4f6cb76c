"""The decisions about faults foretell what a real client meets; no two runs differ.

FAULT_TRIALS=1000 tries more random settings.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localechod import config
from localechod.config.faults import FITS, Faults
from localechod.echo.datagram.server import DatagramServer
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


def foretell_datagrams(faults: Faults, messages: Sequence[bytes]) -> list[bytes]:
    """Return the replies to datagrams, of which the last one may be held back for good."""
    sent: list[bytes] = []
    held = None
    for number, message in enumerate(messages[: faults.die_after or None], start=1):
        outcome = decide(faults, 0, number, message, held)
        held = outcome.held
        sent += outcome.replies
    return sent


async def meet_datagrams(
    supervisor: Supervisor, path: str, messages: Sequence[bytes], count: int
) -> list[bytes]:
    """Return so many replies to datagrams, and all that come beside them."""
    server = supervisor._endpoints["a"]._server
    assert isinstance(server, DatagramServer)
    before = supervisor.status()[0].messages_total
    read = min(len(messages), server.faults.settings.die_after or len(messages))

    def is_done() -> bool:
        return supervisor.status()[0].messages_total - before == read and not server._faulty._late

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.bind("")
        for message in messages:
            sock.sendto(message, path)
        replies = [await asyncio.to_thread(sock.recv, 1 << 16) for _ in range(count)]
        while not is_done():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)
        sock.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                replies.append(sock.recv(1 << 16))
    return replies


def random_trials(kind: str, most: int) -> list[tuple[dict[str, object], list[bytes]]]:
    """Return random faults for a type and up to so many messages; the same ones each time."""
    keys = {key: each for key, each in FAULTS.items() if kind in FITS.get(key, ([kind],))[0]}
    trials: list[tuple[dict[str, object], list[bytes]]] = []

    @settings(
        max_examples=TRIALS,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.fixed_dictionaries({}, optional=keys), st.integers(0, most))
    def collect(faults: dict[str, object], count: int) -> None:
        if faults.get("half_close"):
            faults.pop("reset_after", None)  # these are refused together
        trials.append((faults, [b"message %d\n" % number for number in range(count)]))

    collect()
    assert len(trials) >= TRIALS
    return trials


@pytest.mark.parametrize("kind", ["stream", "seqpacket"])
def test_the_plan_foretells_what_a_client_meets(sockdir: Path, kind: str) -> None:
    async def meets(_supervisor: Supervisor, faults: Faults, messages: Sequence[bytes]) -> bool:
        met = await asyncio.to_thread(meet, str(sockdir / "a.sock"), kind, messages)
        return met == foretell(faults, kind, messages)

    try_twice(sockdir, kind, random_trials(kind, 8), meets)


def test_the_plan_foretells_the_replies_to_datagrams(sockdir: Path) -> None:
    async def meets(supervisor: Supervisor, faults: Faults, messages: Sequence[bytes]) -> bool:
        expected = foretell_datagrams(faults, messages)
        path = str(sockdir / "a.sock")
        met = await meet_datagrams(supervisor, path, messages, len(expected))
        if faults.jitter:  # how far apart the kernel delivers them decides their order
            met, expected = sorted(met), sorted(expected)
        return met == expected

    # Five have ten replies at most, and a receiver's queue has space for eleven.
    try_twice(sockdir, "datagram", random_trials("datagram", 5), meets)


def try_twice(
    directory: Path,
    kind: str,
    trials: Sequence[tuple[dict[str, object], list[bytes]]],
    meets: Callable[[Supervisor, Faults, Sequence[bytes]], Awaitable[bool]],
) -> None:
    """See that clients meet the same again after a restart, and after a stop and a start."""

    async def act(supervisor: Supervisor) -> None:
        before = parsed(directory, kind, {})
        for faults, messages in chunk:
            after = parsed(directory, kind, faults)
            supervisor.apply(config.compare(before, after), after)
            for again in ("restart", "stop", "start"):
                getattr(supervisor, again)("a")
                if again != "stop":
                    expected = after.endpoints["a"].faults
                    assert await meets(supervisor, expected, messages), (faults, len(messages))
            before = after

    store = Kept()
    for first in range(0, len(trials), 20):  # each life has a deadline
        chunk = trials[first : first + 20]
        live(store, directory, text(kind, {}), act)
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
