"""What a crash leaves of a connection: a slot in memory that outlives the process.

The socket itself is held elsewhere, and so is what the kernel knows of it: the peer, its type, its
queues. A slot adds what only this program knew: where in the client's bytes it was. It is written
with plain stores into mapped memory, in an order that is right for the reader at every instant.
"""

import mmap
import struct
import sys
import time
from dataclasses import dataclass
from typing import TypeAlias

from localechod.errors import LocalechodError

Room: TypeAlias = mmap.mmap | bytearray

# Where a connection was; one byte, the first of its slot.
BOUNDARY = 1  # everything that was read is answered, and the next byte begins a message
MIDDLE = 2  # a message has begun; `skip` says what of it is still to come
BUSY = 3  # something may have been read, and is not answered
UNSENT = 4  # part of a reply may not have been sent; or the slot is being written

# Up to the next newline; see SlotRecord.skip.
NEXT_LINE = -1

# The most bytes that one send(2) on a stream queues whole or not at all, even if the process is
# killed meanwhile: they are one buffer of the kernel's (unix_stream_sendmsg; SKB_MAX_ALLOC and more
# would do). Half of a small send buffer less 64 is a limit as well.
ATOMIC_SEND = 32768

# Raised whenever something below changes its place or meaning.
VERSION = 1
_MAGIC = b"localechod-kept\0"
_HEAD = struct.Struct("<16sII")  # magic, version, slots
# The state and whether the slot is in use are a byte each: a store of one is done or not done.
_SLOT = struct.Struct("<BB2xiI8s64sQd")
_AT_USED, _AT_SKIP, _AT_DESCRIPTION, _AT_SERIAL = 1, 4, 8, 84
_SKIP = struct.Struct("<i")
_DESCRIPTION = struct.Struct("<I8s64s")  # record size, framing, endpoint
_IDENTITY = struct.Struct("<Qd")  # serial, accepted_at


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """A slot as another process left it.

    Attributes:
        state: BOUNDARY, MIDDLE, BUSY or UNSENT.
        skip: where `state` is MIDDLE, the bytes that are still to come of a message, NEXT_LINE, or
            0 where it cannot be told.
        framing: "" where the kernel keeps the boundaries.
        accepted_at: when the connection was accepted, by CLOCK_MONOTONIC.
        serial: of the connection, unlike any other's.
    """

    state: int
    skip: int
    record_size: int
    framing: str
    accepted_at: float
    serial: int
    endpoint: str


class SlotError(LocalechodError):
    """This is not the memory of this version of the program."""


class Slot:
    """One connection's place; `memory[at]` is its state, which the hot path writes itself.

    Attributes:
        serial: unlike any other connection's; 0 in a slot that is nobody's.
        atomic_size: the longest reply, in bytes, that may be lost: it is sent whole or not at all.
        endpoint: the name of the connection's endpoint.
    """

    __slots__ = ("_atomic_size", "at", "atomic_size", "endpoint", "memory", "serial")

    def __init__(self, memory: Room, at: int, serial: int, atomic_size: int) -> None:
        self.memory = memory
        self.at = at
        self.serial = serial
        self.atomic_size = self._atomic_size = atomic_size
        self.endpoint = ""

    @property
    def name(self) -> str:
        """What the socket is called where it is held."""
        return f"{self.serial}@{self.endpoint}"

    def describe(self, endpoint: str, framing: str, record_size: int) -> None:
        """Write down whose connection it is and how messages lie in it; `mark` has to follow."""
        self.mark(UNSENT)
        self.endpoint = endpoint
        # A chunk has no place of its own in what the client reads: one that is missing would be a
        # hole in an echo, and that is a wrong answer.
        self.atomic_size = 0 if framing == "chunk" else self._atomic_size
        texts = framing.encode(), endpoint.encode()
        _DESCRIPTION.pack_into(self.memory, self.at + _AT_DESCRIPTION, record_size, *texts)

    def mark(self, state: int, skip: int = 0) -> None:
        """Write down where it is; `skip` as in SlotRecord."""
        if state == MIDDLE:
            # Not one store. Whoever has to go by half of it ends the connection, which is never
            # wrong; BUSY would be, where part of a reply has been sent.
            self.memory[self.at] = UNSENT
            _SKIP.pack_into(self.memory, self.at + _AT_SKIP, skip)
        self.memory[self.at] = state


class Slots:
    """All slots, in memory that was formatted by this or an earlier process.

    Raises:
        SlotError: it was formatted by another version, or is something else.
    """

    def __init__(self, memory: Room) -> None:
        self._memory = memory
        # Padded: memory that is too short even for this is refused in the same words.
        magic, version, count = _HEAD.unpack(memory[: _HEAD.size].ljust(_HEAD.size))
        if magic != _MAGIC or version != VERSION or len(memory) < size(count):
            raise SlotError("what was stored of connections is not of this version of localechod")
        self.count: int = count
        self._at = {record.serial: at for at, record in self._used()}
        used = set(self._at.values())
        self._free = [at for at in self._places() if at not in used]
        # The clock goes on over a restart, so no process before this one has given these out.
        self._last = time.monotonic_ns()

    def records(self) -> list[SlotRecord]:
        """Return what is in use."""
        return [record for _, record in self._used()]

    def take(self, accepted_at: float, piece: int) -> Slot:
        """Return a free slot for a connection; there has to be one.

        Args:
            accepted_at: when it was accepted.
            piece: the bytes that its socket takes in one piece.
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
        """Return the slot of that serial, for a connection that goes on; `piece` as for `take`."""
        at = self._at.get(serial)
        return None if at is None else Slot(self._memory, at, serial, min(ATOMIC_SEND, piece))

    def free(self, serial: int) -> None:
        """Take a slot back; without it nobody goes on with the connection."""
        at = self._at.pop(serial)
        self._memory[at + _AT_USED] = False
        self._free.append(at)

    def _places(self) -> range:
        return range(_HEAD.size, size(self.count), _SLOT.size)

    def _used(self) -> list[tuple[int, SlotRecord]]:
        return [(at, self._record(at)) for at in self._places() if self._memory[at + _AT_USED]]

    def _record(self, at: int) -> SlotRecord:
        state, _, skip, record_size, *texts, serial, accepted_at = _SLOT.unpack_from(
            self._memory, at
        )
        framing, endpoint = (text.rstrip(b"\0").decode("ascii", "replace") for text in texts)
        return SlotRecord(state, skip, record_size, framing, accepted_at, serial, endpoint)


def size(count: int) -> int:
    """Return the bytes that so many slots take."""
    return _HEAD.size + count * _SLOT.size


def format_memory(memory: Room, count: int) -> Slots:
    """Prepare memory, all zeros and of the right size, and return its slots."""
    _HEAD.pack_into(memory, 0, _MAGIC, VERSION, count)
    return Slots(memory)


def no_slots() -> Slots:
    """Return no slots: where nobody holds a socket for us, nothing is to be remembered."""
    return format_memory(bytearray(size(0)), 0)


# The slot of everyone who has none. No reply is longer than this one sends whole.
NO_SLOT = Slot(bytearray(_SLOT.size), 0, 0, sys.maxsize)
