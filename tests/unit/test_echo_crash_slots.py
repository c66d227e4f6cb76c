"""Memory that outlives the process that wrote it."""

import pytest

from localechod.echo.persist.crash_slots import (
    ATOMIC_SEND,
    BOUNDARY,
    MIDDLE,
    NEXT_LINE,
    UNSENT,
    SlotError,
    SlotRecord,
    Slots,
    format_memory,
    no_slots,
    size,
)

PIECE = 1 << 20


def test_slots_are_read_by_the_next_process() -> None:
    memory = bytearray(size(3))
    slots = format_memory(memory, 3)
    one, other = slots.take(1.5, PIECE), slots.take(2.5, PIECE)
    one.describe("web.1", "record", 4096)
    one.mark(MIDDLE, 17)
    other.describe("x" * 64, "", 0)
    assert Slots(memory).records() == [
        SlotRecord(UNSENT, 0, 0, "", 2.5, other.serial, "x" * 64),
        SlotRecord(MIDDLE, 17, 4096, "record", 1.5, one.serial, "web.1"),
    ]
    assert one.name == f"{one.serial}@web.1"
    one.mark(MIDDLE, NEXT_LINE)
    other.mark(BOUNDARY)
    assert [(r.state, r.skip) for r in Slots(memory).records()] == [(BOUNDARY, 0), (MIDDLE, -1)]


def test_a_freed_slot_is_free_in_the_next_process_too() -> None:
    memory = bytearray(size(1))
    slots = format_memory(memory, 1)
    first = slots.take(1.0, PIECE)
    slots.free(first.serial)
    first.mark(BOUNDARY)  # as one does that closes while it is served
    after = Slots(memory)
    assert after.records() == []
    assert after.take(2.0, PIECE).serial > first.serial
    assert after.find(first.serial, PIECE) is None


def test_a_slot_is_found_by_its_serial_and_written_on() -> None:
    memory = bytearray(size(2))
    serial = format_memory(memory, 2).take(1.0, PIECE).serial
    slots = Slots(memory)
    found = slots.find(serial, PIECE)
    assert found is not None
    found.mark(BOUNDARY)
    assert [record.state for record in slots.records()] == [BOUNDARY]


@pytest.mark.parametrize(
    ("framing", "piece", "atomic_size"),
    [
        ("line", PIECE, ATOMIC_SEND),
        ("line", 2000, 2000),
        ("chunk", PIECE, 0),
        ("", PIECE, ATOMIC_SEND),
    ],
)
def test_how_long_a_reply_may_be_that_is_lost_or_sent_whole(
    framing: str, piece: int, atomic_size: int
) -> None:
    slot = format_memory(bytearray(size(1)), 1).take(1.0, piece)
    slot.describe("a", framing, 0)
    assert slot.atomic_size == atomic_size


@pytest.mark.parametrize(
    "memory",
    [bytearray(24), b"garbage" * 10, bytes(format_memory(bytearray(size(2)), 2)._memory)[:-1]],
)
def test_memory_of_another_version_is_refused(memory: bytes) -> None:
    with pytest.raises(SlotError):
        Slots(bytearray(memory))


def test_another_version_is_refused() -> None:
    memory = bytearray(size(1))
    format_memory(memory, 1)
    memory[16] += 1
    with pytest.raises(SlotError, match="version"):
        Slots(memory)


def test_nowhere_has_no_place() -> None:
    assert no_slots().count == 0
    assert no_slots().records() == []
