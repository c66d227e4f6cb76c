"""Finding the next message boundary after a crash that has lost part of a message. No I/O."""

from collections.abc import Callable

from localechod.config import EndpointConfig
from localechod.echo.persist.crash_slots import BOUNDARY, BUSY, MIDDLE, NEXT_LINE, SlotRecord
from localechod.framing.framers import LineFramer, RecordFramer
from localechod.framing.interface import Framer, Replies


def rest(framer: "Framer | ResyncFramer") -> int:
    """Return how much is to come of the incomplete message, as SlotRecord.skip."""
    if isinstance(framer, ResyncFramer):
        return framer.skip
    if isinstance(framer, RecordFramer):
        return framer.size - len(framer.pending)
    return NEXT_LINE if isinstance(framer, LineFramer) else 0


def go_on(record: SlotRecord, config: EndpointConfig) -> int | None:
    """Return how to continue with a connection after a crash, without a wrong answer.

    Returns:
        What to skip, as SlotRecord.skip, 0 for nothing. None: the boundary is unknown, or a reply
        may have been cut, so the connection has to be closed.
    """
    if config.type != "stream":
        return 0  # the kernel keeps the boundaries, and sends a reply whole or not at all
    if record.state == BOUNDARY:
        return 0  # with any framing: the next byte begins a message
    if record.framing != config.framing or record.state not in {MIDDLE, BUSY}:
        return None
    if record.framing == "line":
        return NEXT_LINE
    known = record.state == MIDDLE and record.record_size == config.record_size
    fits = record.framing == "record" and 0 < record.skip < record.record_size
    return record.skip if known and fits else None


class ResyncFramer:
    """Discards the rest of a message, and then uses another framer; see Framer.

    Args:
        framer: used from then on.
        skip: what to discard, as SlotRecord.skip.
        done: called when it is discarded.
    """

    # Not empty: the connection is in the middle of a message, whose bytes are not here.
    pending = b"?"

    def __init__(self, framer: Framer, skip: int, done: Callable[[], None]) -> None:
        self.framer = framer
        self.skip = skip
        self._done = done

    @property
    def messages(self) -> int:
        """See Framer."""
        return self.framer.messages

    @messages.setter
    def messages(self, count: int) -> None:
        self.framer.messages = count

    @property
    def dropped(self) -> int:
        """See Framer."""
        return self.framer.dropped

    def fits(self, framer: Framer) -> bool:
        """Whether this framer would find the same boundaries."""
        if isinstance(framer, RecordFramer) and isinstance(self.framer, RecordFramer):
            return framer.size == self.framer.size
        return type(framer) is type(self.framer)

    def feed(self, data: bytes) -> Replies:
        """See Framer."""
        if self.skip == NEXT_LINE:
            cut = data.find(b"\n") + 1
            over = bool(cut)
        else:
            cut = min(self.skip, len(data))
            self.skip -= cut
            over = not self.skip
        if not over:
            return b""
        self._done()
        rest = data[cut:]
        return self.framer.feed(rest) if rest else b""

    def finish(self) -> bytes:
        """See Framer; a message that began before this is not answered."""
        return b""
