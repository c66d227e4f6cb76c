"""Crash slots: the state of each kept connection, in shared memory that outlives the process.

The socket itself is in systemd's store, and with it what the kernel has: the peer, the type, the
queues. A slot adds what only this program knows: its position in the client's bytes. It is written
by plain stores into mapped memory, in an order that is correct for a reader at every instant.
"""

import mmap
import struct
import time
from typing import TypeAlias

from msgspec import Struct

from localechod.errors import LocalechodError

Memory: TypeAlias = mmap.mmap | bytearray

# The state of a connection: one byte, the first of its slot.
BOUNDARY = 1  # the next byte begins a message; a whole reply may be unsent, and is lost then
MIDDLE = 2  # a message has begun; `skip` says how much of it is still to come
BUSY = 3  # bytes may have been read that are not answered
UNSENT = 4  # part of a reply may not have been sent; or the slot is being written

# All bytes up to the next newline; see SlotRecord.skip.
NEXT_LINE = -1

# Up to so many bytes one send(2) on a stream queues all or none, even if the process is killed
# meanwhile: they are one buffer of the kernel's (unix_stream_sendmsg; SKB_MAX_ALLOC or more would
# do as well). Half of a small send buffer, less 64, is also a limit.
ATOMIC_SEND = 32768

# Incremented when anything below changes its position or meaning.
VERSION = 1
_MAGIC = b"localechod-kept\0"
_HEAD = struct.Struct("<16sII")  # magic, version, slots
# The state, and whether the slot is in use, are a byte each: its store is done or not done.
_SLOT = struct.Struct("<BB2xiI8s64sQd")
_AT_USED, _AT_SKIP, _AT_DESCRIPTION, _AT_SERIAL = 1, 4, 8, 84
_SKIP = struct.Struct("<i")
_DESCRIPTION = struct.Struct("<I8s64s")  # record size, framing, endpoint
_IDENTITY = struct.Struct("<Qd")  # serial, accepted_at


class SlotRecord(Struct, frozen=True):
    """The contents of a slot that another process has written.

    Attributes:
        state: BOUNDARY, MIDDLE, BUSY or UNSENT.
        skip: in state MIDDLE, the bytes of a message that are still to come, NEXT_LINE, or 0 if
            their number is unknown.
        framing: "" if the kernel keeps the boundaries.
        accepted_at: when the connection was accepted, by CLOCK_MONOTONIC.
        serial: unique to the connection.
    """

    state: int
    skip: int
    record_size: int
    framing: str
    accepted_at: float
    serial: int
    endpoint: str


class SlotError(LocalechodError):
    """This memory was not written by this version of the program."""


class Slot:
    """The slot of one connection; `memory[at]` is its state, which the hot path writes itself.

    Attributes:
        serial: unique to the connection.
        atomic_size: bytes of the longest reply that is sent whole or not at all.
        endpoint: the name of the connection's endpoint.
    """

    __slots__ = ("_atomic_size", "at", "atomic_size", "endpoint", "memory", "serial")

    def __init__(self, memory: Memory, at: int, serial: int, atomic_size: int) -> None:
        self.memory = memory
        self.at = at
        self.serial = serial
        self.atomic_size = self._atomic_size = atomic_size
        self.endpoint = ""

    @property
    def name(self) -> str:
        """The socket's name in the store."""
        return f"{self.serial}@{self.endpoint}"

    def describe(self, endpoint: str, framing: str, record_size: int) -> None:
        """Write the connection's endpoint and framing; `mark` has to be called next."""
        self.mark(UNSENT)
        self.endpoint = endpoint
        # Chunks have no boundaries in the replies: after a lost one, the client would read an echo
        # with a gap, which is a wrong answer.
        self.atomic_size = 0 if framing == "chunk" else self._atomic_size
        texts = framing.encode(), endpoint.encode()
        _DESCRIPTION.pack_into(self.memory, self.at + _AT_DESCRIPTION, record_size, *texts)

    def mark(self, state: int, skip: int = 0) -> None:
        """Write the state; `skip` as in SlotRecord."""
        if state == MIDDLE:
            # These are several stores. A reader that finds UNSENT closes the connection, which is
            # never wrong; BUSY would be, if part of a reply has been sent.
            self.memory[self.at] = UNSENT
            _SKIP.pack_into(self.memory, self.at + _AT_SKIP, skip)
        self.memory[self.at] = state


class Slots:
    """All slots, in memory that this or an earlier process has formatted.

    Raises:
        SlotError: another version formatted it, or it is no such memory.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        # Padded, so that memory that is too short even for this is refused as well.
        magic, version, count = _HEAD.unpack(memory[: _HEAD.size].ljust(_HEAD.size))
        if magic != _MAGIC or version != VERSION or len(memory) < size(count):
            raise SlotError("the stored connection slots are not of this version of localechod")
        self.count: int = count
        self._at = {record.serial: at for at, record in self._used()}
        used = set(self._at.values())
        self._free = [at for at in self._offsets() if at not in used]
        # The clock continues across a restart, so no earlier process has used these serials.
        self._last = time.monotonic_ns()

    def records(self) -> list[SlotRecord]:
        """Return the contents of the slots in use."""
        return [record for _, record in self._used()]

    def take(self, accepted_at: float, piece: int) -> Slot:
        """Return a free slot for a connection; the caller ensures that there is one.

        Args:
            accepted_at: when it was accepted.
            piece: how many bytes its socket takes in one piece.
        """
        at = self._free.pop()
        self._last += 1
        slot = Slot(self._memory, at, self._last, min(ATOMIC_SEND, piece))
        slot.mark(UNSENT)
        _IDENTITY.pack_into(self._memory, at + _AT_SERIAL, slot.serial, accepted_at)
        self._memory[at + _AT_USED] = True
        self._at[slot.serial] = at
        return slot

    def find(self, serial: int, piece: int) -> Slot | None:
        """Return the slot of that serial, to continue with it; `piece` as for `take`."""
        at = self._at.get(serial)
        return None if at is None else Slot(self._memory, at, serial, min(ATOMIC_SEND, piece))

    def free(self, serial: int) -> None:
        """Free a slot; without one, no process continues with the connection after a crash."""
        at = self._at.pop(serial)
        self._memory[at + _AT_USED] = False
        self._free.append(at)

    def _offsets(self) -> range:
        return range(_HEAD.size, size(self.count), _SLOT.size)

    def _used(self) -> list[tuple[int, SlotRecord]]:
        return [(at, self._record(at)) for at in self._offsets() if self._memory[at + _AT_USED]]

    def _record(self, at: int) -> SlotRecord:
        state, _, skip, record_size, *texts, serial, accepted_at = _SLOT.unpack_from(
            self._memory, at
        )
        framing, endpoint = (text.rstrip(b"\0").decode("ascii", "replace") for text in texts)
        return SlotRecord(state, skip, record_size, framing, accepted_at, serial, endpoint)


def size(count: int) -> int:
    """Return the bytes that so many slots take."""
    return _HEAD.size + count * _SLOT.size


def format_memory(memory: Memory, count: int) -> Slots:
    """Prepare memory, all zeros and of the right size, and return its slots."""
    _HEAD.pack_into(memory, 0, _MAGIC, VERSION, count)
    return Slots(memory)


def no_slots() -> Slots:
    """Return no slots, for a process without a store."""
    return format_memory(bytearray(size(0)), 0)
