"""The compiled loop and the Python loop answer the same bytes and count the same messages."""

import importlib
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localechod.config import EndpointConfig, parse
from localechod.echo import fastpath
from localechod.echo.counters import Counters
from localechod.echo.datagram import send_budget
from localechod.echo.persist import crash_slots
from localechod.echo.persist.crash_slots import BOUNDARY, MIDDLE, UNSENT, format_memory, size
from localechod.echo.reactor import Reactor
from localechod.echo.stream.buffers import BufferBudget
from localechod.echo.stream.connection import Connection
from localechod.echo.stream.endings import READ_SIZE
from localechod.echo.stream.framed import StreamConnection
from localechod.echo.stream.seqpacket import SeqpacketConnection
from localechod.errors import ConfigError
from localechod.framing.framers import LineFramer

pytestmark = pytest.mark.skipif(not fastpath.COMPILED, reason="the compiled part is not there")

KINDS = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET}


@dataclass
class Stage:
    """One connection of an endpoint with these settings, and its client."""

    reactor: Reactor
    config: EndpointConfig
    counters: Counters = field(default_factory=Counters)
    crash_keeper: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(leave=lambda _: None, unkeep=lambda _: None)
    )
    buffers: BufferBudget = field(default_factory=BufferBudget)
    seen: list[object] = field(default_factory=list)
    companion: "Stage | None" = None

    def __post_init__(self) -> None:
        ours, self.client = socket.socketpair(socket.AF_UNIX, KINDS[self.config.type])
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.client.setblocking(False)
        kind = StreamConnection if self.config.type == "stream" else SeqpacketConnection
        model = kind.model(self)  # type: ignore[arg-type]
        self.connection: Connection = model.begin(ours.detach(), 1, 2, 3)

    def observe(self, messages: Sequence[bytes], uid: int) -> None:
        assert uid == self.connection.uid
        self.seen.extend(messages)

    @property
    def socket_type(self) -> int:
        return int(KINDS[self.config.type])

    def failed(self, error: Exception) -> None:
        self.seen.append(type(error))

    def linger(self, sock: socket.socket, uid: int) -> None:
        assert uid == self.connection.uid
        sock.close()

    def connection_closed(self, _connection: Connection) -> None:
        self.seen.append(b"left")
        if self.companion is not None:
            self.companion.connection.close_now()

    def ask(self, data: bytes) -> bytes:
        self.client.send(data)
        self.reactor.turn()
        try:
            return self.client.recv(1 << 20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        if hasattr(self, "connection") and self.connection.fd >= 0:
            self.connection.close()
        self.client.close()


class Stages:
    """Makes them, and puts them away."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.made: list[Stage] = []

    def __call__(self, kind: str = "stream", **keys: str | int) -> Stage:
        text = "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())
        config = parse(f'version = 1\n[endpoints.e]\ntype = "{kind}"\n{text}', Path("/x"), "x")
        self.made.append(Stage(self.reactor, config.endpoints["e"]))
        return self.made[-1]

    def close(self) -> None:
        for stage in self.made:
            stage.close()
        self.reactor.close()


def _toml(value: str | int) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@pytest.fixture
def stages() -> Iterator[Stages]:
    stages = Stages()
    yield stages
    stages.close()


def test_both_builds_have_the_same_constants() -> None:
    compiled = importlib.import_module("localechod.echo._fastpath")
    exported = {name: getattr(compiled, name) for name in dir(compiled) if name.isupper()}
    python = vars(crash_slots) | vars(send_budget) | vars(fastpath)
    assert len(exported) == 14
    assert exported == {name: python[name] for name in exported}


def test_the_longest_prefix_of_a_configuration_fits(stages: Stages) -> None:
    with pytest.raises(ConfigError, match="prefix"):
        stages(prefix="\U0010ffff" * 256)
    assert len(("\U0010ffff" * 255).encode()) <= fastpath.LONGEST_PREFIX
    assert READ_SIZE <= fastpath.LONGEST_READ


@pytest.mark.parametrize(
    ("kind", "keys", "sent", "reply"),
    [
        ("stream", {}, b"one\n", b"Hi, one\n"),
        ("stream", {}, b"one\ntwo\n\n", b"Hi, one\nHi, two\nHi, \n"),
        ("stream", {"prefix": ""}, b"one\ntwo\n", b"one\ntwo\n"),
        ("stream", {"framing": "chunk", "prefix": ""}, b"\0one", b"\0one"),
        ("stream", {"framing": "chunk"}, b"one", b"Hi, one"),
        ("seqpacket", {}, b"one\n", b"Hi, one\n"),
        ("seqpacket", {"prefix": ""}, b"x" * 65536, b"x" * 65536),
    ],
)
def test_the_common_case_is_answered_and_counted_without_python(
    stages: Stages, kind: str, keys: dict[str, str | int], sent: bytes, reply: bytes
) -> None:
    stage = stages(kind, **keys)
    assert stage.connection.kind != fastpath.PYTHON
    before = stage.connection.active_at
    assert stage.ask(sent) == reply
    lines = sent.count(b"\n") if kind == "stream" and "framing" not in keys else 1
    assert stage.connection.fast_messages == stage.connection.messages == lines
    assert (stage.connection.received, stage.connection.sent) == (len(sent), len(reply))
    assert stage.connection.active_at > before


@pytest.mark.parametrize(
    ("kind", "keys", "sent", "reply"),
    [
        ("stream", {"framing": "record", "record_size": 8}, b"one".ljust(8, b"\0"), b"Hi, one\0"),
        ("stream", {"log_messages": True}, b"one\n", b"Hi, one\n"),
        ("seqpacket", {"log_messages": True}, b"one", b"Hi, one"),
        ("seqpacket", {"max_message": 1 << 20}, b"one", b"Hi, one"),
    ],
)
def test_other_settings_are_left_to_python(
    stages: Stages, kind: str, keys: dict[str, str | int], sent: bytes, reply: bytes
) -> None:
    stage = stages(kind, **keys)
    assert stage.connection.kind == fastpath.PYTHON
    assert stage.ask(sent) == reply
    assert stage.connection.messages == 1


def test_python_serves_an_incomplete_line_until_it_is_complete(stages: Stages) -> None:
    stage = stages()
    assert stage.ask(b"one\ntw") == b"Hi, one\n"
    assert stage.connection.kind == fastpath.PYTHON
    assert stage.ask(b"o\n") == b"Hi, two\n"
    assert stage.connection.kind == fastpath.LINES
    assert stage.ask(b"three\n") == b"Hi, three\n"
    assert (stage.connection.messages, stage.connection.fast_messages) == (3, 1)


def test_python_counts_messages_that_are_too_long(stages: Stages) -> None:
    line = stages(max_message=4)
    assert line.ask(b"1234\n") == b"Hi, 1234\n"
    assert line.ask(b"12345\n") == b""
    assert line.counters.errors == {"too_long": 1}
    assert (line.seen, line.connection.kind) == ([b"left"], fastpath.PYTHON)
    record = stages("seqpacket", max_message=4)
    assert [record.ask(b"12345"), record.ask(b"1234")] == [b"", b"Hi, 1234"]
    assert record.counters.errors == {"too_long": 1}


def test_an_empty_record_is_answered_and_is_not_end_of_file(stages: Stages) -> None:
    stage = stages("seqpacket")
    assert stage.ask(b"") == b"Hi, "
    assert stage.connection.fast_messages == 1
    stage.client.shutdown(socket.SHUT_WR)
    stage.reactor.turn()
    assert stage.seen == [b"left"]


def test_a_reply_that_does_not_fit_waits_and_nothing_is_read_meanwhile(stages: Stages) -> None:
    stage = stages(framing="chunk", prefix="")
    stage.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sent = 0
    while stage.connection.kind != fastpath.PYTHON:
        sent += stage.client.send(b"x" * 1000)
        stage.reactor.turn()
    assert stage.connection.buffered()
    sent += stage.client.send(b"y")
    read = b""
    while len(read) < sent:
        stage.reactor.turn()
        read += stage.client.recv(1 << 20)
    assert read == b"x" * (sent - 1) + b"y"
    assert stage.connection.kind == fastpath.CHUNKS
    assert stage.connection.sent == sent


def test_a_reset_and_a_closed_reader_are_counted_by_their_names(stages: Stages) -> None:
    reset = stages()
    assert reset.ask(b"one\n")
    reset.client.send(b"two\n")
    reset.reactor.turn()
    reset.client.close()  # with a reply unread
    reset.reactor.turn()
    assert reset.counters.errors == {"connection_reset": 1}
    broken = stages()
    broken.client.shutdown(socket.SHUT_RD)
    broken.client.send(b"one\n")
    broken.reactor.turn()
    assert broken.counters.errors == {"broken_pipe": 1}
    assert reset.seen == broken.seen == [b"left"]
    assert reset.connection.kind == broken.connection.kind == fastpath.PYTHON


def test_the_slot_has_the_state_before_the_reply_is_sent(stages: Stages) -> None:
    memory = bytearray(size(1))
    stage, slot = stages(), format_memory(memory, 1).take(0.0, 1 << 20)
    stage.connection.attach_slot(slot)
    states = []
    for message in (b"one\n", b"tw", b"o\n"):
        memory[slot.at] = UNSENT
        stage.ask(message)
        states.append(memory[slot.at])
    assert states == [BOUNDARY, MIDDLE, BOUNDARY]
    assert stage.connection.fast_messages == 1


def test_a_reply_that_may_be_cut_is_marked_until_it_is_sent(stages: Stages) -> None:
    memory = bytearray(size(1))
    stage = stages(framing="chunk", prefix="")  # of a chunk no reply may be lost
    slot = format_memory(memory, 1).take(0.0, 1 << 20)
    stage.connection.attach_slot(slot)
    assert stage.ask(b"one") == b"one"
    assert (memory[slot.at], stage.connection.fast_messages) == (BOUNDARY, 1)
    stage.connection.sock.shutdown(socket.SHUT_WR)
    stage.ask(b"two")
    assert memory[slot.at] == UNSENT


def test_a_defect_ends_its_connection_and_no_other(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Connection, _data: bytes) -> None:
        raise MemoryError

    broken, other = stages(), stages()
    with monkeypatch.context() as patched:
        patched.setattr(StreamConnection, "take", fail)
        broken.client.send(b"incomplete")
        other.client.send(b"one\n")
        stages.reactor.turn()
    assert other.client.recv(100) == b"Hi, one\n"
    assert broken.client.recv(100) == b""
    assert broken.connection.fd not in stages.reactor
    assert broken.seen == [MemoryError, b"left"]


def test_a_callback_may_close_the_next_connection(stages: Stages) -> None:
    first, second = stages(), stages()
    first.client.shutdown(socket.SHUT_WR)
    first.companion = second
    second.client.send(b"one\n")
    stages.reactor.turn()
    assert first.seen == second.seen == [b"left"]
    assert second.connection.messages == 0


def test_lines_whose_replies_exceed_the_buffer_are_answered_by_python(stages: Stages) -> None:
    stage = stages(prefix="x" * 255)
    expected = (b"x" * 255 + b"\n") * 1200
    found = stage.ask(b"\n" * 1200)
    while len(found) < len(expected):  # more than a socket takes at once
        stage.reactor.turn()
        found += stage.client.recv(1 << 20)
    assert found == expected


def test_a_connection_that_only_the_poller_has_ends(stages: Stages) -> None:
    stage = stages()
    del stage.connection
    stage.client.shutdown(socket.SHUT_WR)
    stage.reactor.turn()
    assert stage.client.recv(1) == b""
    assert stage.seen == [b"left"]


def test_values_longer_than_the_buffers_are_refused(stages: Stages) -> None:
    flow = stages().connection
    with pytest.raises(ValueError, match="read_size"):
        flow.read_size = fastpath.LONGEST_READ + 1
    with pytest.raises(ValueError, match="prefix"):
        flow.prefix = b"x" * 1025
    with pytest.raises(ValueError, match="kind is outside 0 to 3"):
        flow.kind = 4
    with pytest.raises(ValueError, match="fd is outside"):
        flow.fd = 1 << 31
    with pytest.raises(OverflowError):
        flow.fd = 1 << 64
    with pytest.raises(ValueError, match="one byte"):
        flow.slot_byte = memoryview(bytearray(2))
    with pytest.raises(BufferError):
        flow.slot_byte = memoryview(b"x")
    flow.slot_byte = memoryview(bytearray(1))
    flow.slot_byte = None
    assert flow.slot_byte is None


def test_no_reference_is_leaked_or_released_too_early(stages: Stages) -> None:
    stage, prefix = stages(), b"Salut, "
    slot_byte = memoryview(bytearray(1))
    stage.connection.prefix = prefix
    stage.connection.slot_byte = slot_byte
    held = (prefix, slot_byte, stage.connection, stages.reactor)
    counts = [sys.getrefcount(each) for each in held]
    for message in [b"one\n", b"o", b"ne\n", b"\n" * 5] * 100:
        stage.ask(message)
    assert counts == [sys.getrefcount(each) for each in held]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([b"", b"a", b"bc\n", b"\n\n", b"def\ng", b"h" * 300 + b"\n"])),
    st.sampled_from(["", "> "]),
)
def test_lines_come_back_as_the_framing_has_them_however_reads_cut_them(
    pieces: list[bytes], prefix: str
) -> None:
    stages = Stages()
    try:
        stage = stages(prefix=prefix)
        whole = b"".join(pieces)
        framer = LineFramer(prefix.encode(), 65536)
        expected = bytes(framer.feed(whole)) + bytes(framer.finish()) if whole else b""
        got = b"".join(stage.ask(piece) for piece in pieces if piece)
        stage.client.shutdown(socket.SHUT_WR)
        stages.reactor.turn()
        while more := stage.client.recv(1 << 16):
            got += more
        assert got == expected
        assert stage.connection.messages == framer.messages
    finally:
        stages.close()
