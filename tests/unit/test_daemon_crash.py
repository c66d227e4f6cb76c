"""What a crash leaves in the store, and what the next process makes of it."""

import os
import socket
from collections.abc import Iterator

import pytest

from localechod.config import Config, ControlConfig, EndpointConfig, ServiceConfig
from localechod.daemon import crash
from localechod.daemon.inherited import CRASH_SLOTS, parse
from localechod.echo.persist.crash_slots import BOUNDARY, BUSY, Slots
from localechod.echo.persist.snapshot import ConnectionSnapshot, EndpointSnapshot
from tests.unit.restart_fakes import Kept

LINES = EndpointConfig(name="a", type="stream", path="@a")
CONFIG = Config(service=ServiceConfig(), control=ControlConfig(), endpoints={"a": LINES})


@pytest.fixture
def store() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.close()


def keep(store: Kept, slots: Slots, endpoint: str = "a", state: int = BOUNDARY) -> socket.socket:
    """Keep a connection as a process does, which then ends; return the client's end."""
    ours, theirs = socket.socketpair()
    with ours:
        slot = slots.take(1.0, 1 << 20)
        slot.describe(endpoint, "line", 0)
        slot.mark(state)
        store.keep(f"@{slot.name}", ours.fileno())
    theirs.settimeout(10)
    return theirs


def revived(
    store: Kept, config: Config = CONFIG, states: tuple[EndpointSnapshot, ...] = ()
) -> tuple[list[EndpointSnapshot], list[socket.socket]]:
    inherited = parse(store.pass_on())
    memory = crash.memory(inherited.crash_slots, store)
    return crash.revive(inherited.crash_kept, memory, states, config, store)


def slots_of(store: Kept) -> Slots:
    return crash.memory(parse(store.pass_on()).crash_slots, store)


def test_a_connection_goes_on_with_what_the_kernel_knows_of_its_peer(store: Kept) -> None:
    with keep(store, crash.memory((), store)) as client:
        (state,), (sock,) = revived(store)
        (connection,) = state.connections
        assert (connection.pid, connection.uid, connection.accepted_at) == (
            os.getpid(),
            os.geteuid(),
            1,
        )
        assert not sock.getblocking()
        client.send(b"x")
        assert sock.recv(1) == b"x"
        sock.close()
    assert len(store.held) == 2


@pytest.mark.parametrize(
    "config",
    [
        EndpointConfig(name="b", type="stream", path="@a"),
        EndpointConfig(name="a", type="stream", path="@a", enabled=False),
        EndpointConfig(name="a", type="seqpacket", path="@a"),
        EndpointConfig(name="a", type="stream", path="@a", framing="chunk"),
    ],
    ids=["removed", "disabled", "of another type", "busy under another framing"],
)
def test_who_cannot_go_on_reads_end_of_file_and_is_forgotten(
    store: Kept, config: EndpointConfig
) -> None:
    with keep(store, crash.memory((), store), state=BUSY) as client:
        client.send(b"not read by anybody")
        whole = Config(
            service=CONFIG.service, control=CONFIG.control, endpoints={config.name: config}
        )
        assert revived(store, whole) == ([], [])
        assert client.recv(1) == b""  # a reset would raise
    assert list(store.held) == [CRASH_SLOTS]
    assert slots_of(store).records() == []


def test_of_what_a_restart_has_brought_the_copy_is_closed(store: Kept) -> None:
    slots = crash.memory((), store)
    with keep(store, slots) as client:
        (record,) = slots.records()
        brought = ConnectionSnapshot(
            pid=1, uid=0, gid=0, accepted_at=1, active_at=1,
            messages=1, received=1, sent=1, serial=record.serial,
        )  # fmt: skip
        state = EndpointSnapshot(config=LINES, counters={}, errors={}, connections=(brought,))
        (name,) = store.held.keys() - {CRASH_SLOTS}
        travelled = socket.socket(fileno=os.dup(store.held[name][0]))
        assert revived(store, states=(state,)) == ([], [])
        assert len(store.held) == 2
        client.send(b"x")  # nobody has shut it down
        memory = os.dup(store.held[CRASH_SLOTS][0])
        os.pwrite(memory, b"\xff", 16)
        os.close(memory)
        assert revived(store, states=(state,)) == ([], [])
        assert list(store.held) == [CRASH_SLOTS]
        client.send(b"x")
        travelled.close()


def test_word_without_a_socket_is_forgotten_and_a_socket_without_word_is_closed(
    store: Kept,
) -> None:
    slots = crash.memory((), store)
    with keep(store, slots) as one, keep(store, slots) as other:
        first, second = slots.records()
        slots.free(first.serial)
        store.drop(f"@{second.serial}@a")
        assert revived(store) == ([], [])
        assert one.recv(1) == other.recv(1) == b""
    assert list(store.held) == [CRASH_SLOTS]
    assert slots_of(store).records() == []


def test_what_is_no_socket_is_let_go(store: Kept) -> None:
    reader, writer = os.pipe()
    store.keep("@7@a", reader)
    os.close(reader)
    assert revived(store) == ([], [])
    assert list(store.held) == [CRASH_SLOTS]
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"x")
    os.close(writer)


@pytest.mark.parametrize("content", [b"", b"garbage", b"localechod-kept\0\1\0\0\0\xff\xff\0\0"])
def test_memory_that_is_none_is_replaced(
    store: Kept, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    memory = os.memfd_create("test")
    os.write(memory, content)
    store.keep(CRASH_SLOTS, memory)
    os.close(memory)
    slots = slots_of(store)
    assert slots.count == store.capacity - 5
    assert "kept connections are closed" in caplog.text
    assert len(slots_of(store).records()) == 0


def test_the_configuration_that_was_remembered_last_is_the_last_good_one(store: Kept) -> None:
    for text in ("one", "two"):
        crash.remember(text, store)
    assert parse(store.pass_on()).config == "two"
    crash.memory((), store)
    crash.forget(store)
    assert store.held == {}
