"""The part of a connection that a crash does not lose: its state, as marks in a crash slot."""

import sys

from localechod.config import EndpointConfig
from localechod.echo.fastpath import Flow
from localechod.echo.persist.crash_slots import BOUNDARY, Slot


class MarkedFlow(Flow):
    """A flow that marks its state in a slot; see crash_slots.py.

    The code that runs for each message stores these marks itself: `slot.memory[slot.at] = BUSY`.

    Attributes:
        slot: None for most connections.
    """

    __slots__ = ()

    slot: Slot | None

    def attach_slot(self, slot: Slot | None) -> None:
        """Mark states in this slot from now on; with None, nowhere."""
        self.slot = slot
        if slot is None:
            self.slot_byte, self.atomic_size = None, sys.maxsize
        else:
            config = self._config()
            framing = config.framing if config.type == "stream" else ""
            slot.describe(config.name, framing, config.record_size)
            self.slot_byte = memoryview(slot.memory)[slot.at : slot.at + 1]
            self.atomic_size = slot.atomic_size
            self.record_state()
        self.set_kind()

    def record_state(self, size: int = 0) -> None:
        """Mark in the slot where the connection is in its client's bytes.

        Args:
            size: bytes of a reply that is about to be sent.
        """
        del size  # as for seqpacket: the kernel sends a record whole or not at all
        if self.slot is not None:
            self.slot.mark(BOUNDARY)

    def set_kind(self) -> None:
        """Set `kind`, which loop serves the connection, after a change of what decides it."""
        raise NotImplementedError

    def _config(self) -> EndpointConfig:
        """Return the settings of the connection's endpoint."""
        raise NotImplementedError
