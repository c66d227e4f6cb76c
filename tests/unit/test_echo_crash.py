"""A kill at any instant: no answer is ever wrong, and connections that are kept continue."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localechod.config import EndpointConfig
from localechod.echo.fastpath import COMPILED
from localechod.echo.stream import connection, framed
from tests.unit.crash_child import ChildWorld
from tests.unit.crash_fakes import ONE_PIECE, World
from tests.unit.ptrace import is_permitted

SIZE = 64
LINES = EndpointConfig(name="a", type="stream", path="@a")
RECORDS = EndpointConfig(
    name="a", type="stream", path="@a", framing="record", record_size=SIZE, prefix=""
)
CHUNKS = EndpointConfig(name="a", type="stream", path="@a", framing="chunk", prefix="")
PACKETS = EndpointConfig(name="a", type="seqpacket", path="@a", prefix="")
LONG = ONE_PIECE + 5000
ALL = pytest.mark.parametrize("config", [LINES, RECORDS, CHUNKS, PACKETS],
                              ids=["line", "record", "chunk", "packet"])  # fmt: skip


@contextmanager
def world(config: EndpointConfig, kind: type[World] = World) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        made = kind(config, patch)
        try:
            yield made
        finally:
            made.close()


def messages(config: EndpointConfig, sizes: Sequence[int]) -> list[bytes]:
    """Numbered messages of about these sizes."""
    texts = [b"%04d" % number + b"x" * size for number, size in enumerate(sizes)]
    if config == LINES:
        return [text + b"\n" for text in texts]
    return [text[: SIZE - 1].ljust(SIZE, b"\0") for text in texts] if config == RECORDS else texts


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Cut a stream anywhere."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


class Talk:
    """A client's side: what is still to be sent, and what came back."""

    def __init__(self, world: World, pieces: Sequence[bytes], restarts: Sequence[int] = ()) -> None:
        self.world = world
        self.pieces = deque(pieces)
        self.restarts = set(restarts)  # planned ones, where so many pieces are left
        self.received: list[bytes] = []
        self.ended = False

    def begin(self) -> None:
        self.world.begin()
        self.go_on()

    def go_on(self) -> None:
        """Say the rest, until the process is killed or the connection ends."""
        while self.pieces and not self.ended:
            piece = self.pieces[0]
            try:
                sent = self.world.client.send(piece)
            except BlockingIOError:
                self.receive()
                self.world.serve()
                continue
            except BrokenPipeError:
                break
            self.pieces.popleft()
            if sent < len(piece):
                self.pieces.appendleft(piece[sent:])
            self.world.serve()
            if len(self.pieces) in self.restarts and self.world.alive:
                self.restarts.discard(len(self.pieces))
                self.world.restart()
            if len(self.pieces) % 3 == 0:  # else replies lie unsent
                self.receive()
        for _ in range(4):
            self.receive()
            self.world.serve()

    def receive(self) -> None:
        with suppress(BlockingIOError):
            while not self.ended:
                data = self.world.client.recv(1 << 20)
                self.ended = not data
                self.received.append(data)


def check(config: EndpointConfig, said: Sequence[bytes], talk: Talk) -> list[bytes]:
    """Find a fault with the answers, or return them."""
    data = b"".join(talk.received)
    if config == CHUNKS:
        assert b"".join(said).startswith(data)
        return [data]
    if config == PACKETS:
        answers = [one for one in talk.received if one]
    elif config == RECORDS:
        answers = [data[at : at + SIZE] for at in range(0, len(data), SIZE)]
    else:
        answers = [line + b"\n" for line in data.split(b"\n")]
        assert answers.pop() == b"\n" or talk.ended  # only the end may cut a reply
        assert all(answer.startswith(b"Hi, ") for answer in answers)
        answers = [answer.removeprefix(b"Hi, ") for answer in answers]
    rest = iter(said)
    assert all(answer in rest for answer in answers), "not one after the other, each once"
    return answers


def live(
    config: EndpointConfig,
    said: list[bytes],
    pieces: Sequence[bytes],
    ends: Sequence[int],
    restarts: Sequence[int] = (),
    kind: type[World] = World,
) -> tuple[int, Counter[str]]:
    """Talk, with a kill at these steps, one in each process.

    Returns:
        The steps of the last process before the last messages, and the kinds of steps until then.
    """
    # No kill hits the last messages, so they show whether the connection still works.
    last = messages(config, [1] * (len(said) + 2))[-2:]
    with world(config, kind) as here:
        talk = Talk(here, pieces, restarts)
        kept, goes_on, act = False, True, talk.begin
        for end in [*ends, -1]:
            here.steps.taken, here.steps.end = 0, end
            killed = here.killed(act)
            kept = kept or bool(here.store.held)
            if not killed:
                break
            goes_on, act = here.go_on(), talk.go_on
            if not goes_on:
                break
        steps, kinds, here.steps.end = here.steps.taken, here.steps.kinds.copy(), -1
        if goes_on:
            talk.pieces.extend(last)
            talk.go_on()
        if not kept:
            return steps, kinds  # a connection that is not kept may be reset
        talk.receive()
        answers = check(config, [*said, *last], talk)
        assert talk.ended != goes_on
        if config in {LINES, RECORDS, PACKETS} and goes_on:
            assert answers[-1] == last[-1]
        elif goes_on:
            assert answers == [b"".join([*said, *last])]
        assert not talk.ended or not here.store.held
    return steps, kinds


SCRIPT = [3, 0, LONG, 7, LONG, LONG, LONG, 2]


def kinds(*calls: str) -> set[str]:
    """Return the steps before and after these."""
    return {f"{call} {side}" for call in calls for side in ("entry", "exit")}


# The steps that each test has to take, or it does not test what its name says. Where the compiled
# loop does not serve, Python reads and writes.
PYTHON_STEPS = kinds("store", "read", "write", "put")
PYTHON_CALLS, COMPILED_CALLS = kinds("read", "write"), kinds("recvfrom", "sendto")


@ALL
def test_a_kill_at_each_step_of_python(
    config: EndpointConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "COMPILED", False)
    monkeypatch.setattr(framed, "COMPILED", False)
    taken: Counter[str] = Counter()
    said = messages(config, SCRIPT)
    pieces = said if config == PACKETS else cut(b"".join(said), [2, 5, 9, 20000, 38000, 52000])
    for restarts in ((), range(len(pieces))):
        steps, found = live(config, said, pieces, [], restarts)
        taken += found
        assert steps > 10
        for end in range(1, steps + 1):
            live(config, said, pieces, [end], restarts)
    wanted = PYTHON_STEPS | ({"write cut"} if config in {LINES, CHUNKS} else set())
    assert wanted <= taken.keys()


@pytest.mark.skipif(not is_permitted(), reason="ptrace(2) is not permitted, or not known here")
@ALL
def test_a_kill_of_a_real_process_at_each_system_call(config: EndpointConfig) -> None:
    taken: Counter[str] = Counter()
    said = messages(config, SCRIPT)
    cuts = cut(b"".join(said), [2, 5, 9, 20000, 38000, 52000])
    for pieces in (said,) if config == PACKETS else (said, cuts):
        steps, found = live(config, said, pieces, [], kind=ChildWorld)
        taken += found
        assert steps > 10
        for end in range(1, steps + 1):
            live(config, said, pieces, [end], kind=ChildWorld)
    wanted = COMPILED_CALLS if COMPILED and config != RECORDS else PYTHON_CALLS
    if config in {LINES, CHUNKS}:
        wanted = wanted | {"sendto cut" if COMPILED else "write cut"}
    assert wanted <= taken.keys()


def test_the_rest_of_a_line_that_was_too_long_is_not_a_line() -> None:
    config = EndpointConfig(name="a", type="stream", path="@a", prefix="", max_message=LONG)
    said = [b"short\n", b"x" * LONG + b"too long\n", b"after\n"]
    pieces = cut(b"".join(said), [LONG + 7])
    for end in range(1, 60):
        with world(config) as here:
            talk = Talk(here, pieces)
            here.steps.end = end
            if here.killed(talk.begin) and here.go_on():
                talk.go_on()
            answers = b"".join(talk.received).splitlines(keepends=True)
            assert answers in ([], [b"short\n"], [b"short\n", b"after\n"], [b"after\n"])


@ALL
@settings(max_examples=200)
@given(
    sizes=st.lists(st.integers(0, 50) | st.integers(ONE_PIECE - 100, LONG), max_size=9),
    cuts=st.lists(st.integers(0, 1 << 20), max_size=8),
    ends=st.lists(st.integers(1, 120), min_size=1, max_size=3),
    restarts=st.lists(st.integers(0, 8), max_size=2),
)
def test_kills_at_any_step_of_any_talk(
    config: EndpointConfig,
    sizes: list[int],
    cuts: list[int],
    ends: list[int],
    restarts: list[int],
) -> None:
    said = messages(config, sizes)
    pieces = said if config == PACKETS else cut(b"".join(said), cuts)
    live(config, said, pieces, ends, restarts)
