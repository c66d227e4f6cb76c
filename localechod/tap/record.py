"""The record of a connection: counts, lines on the display, packets in the capture."""

import time
from collections.abc import Callable
from contextlib import suppress

from localechod.tap.direction import TO_CLIENT
from localechod.tap.display import Display
from localechod.tap.pcapng import Capture, Pair, Stream


class Recorder:
    """Begins a record for each connection.

    Args:
        display: where lines go.
        capture: where packets go, or None.
    """

    def __init__(self, display: Display, capture: Capture | None) -> None:
        self.display = display
        self._capture = capture
        self.count = 0

    def begin(self, client: str, *, stream: bool) -> "Record":
        """Return the record of a new connection; `client` is its process, escaped."""
        self.count += 1
        self.display.event(f"#{self.count} {client} connected")
        return Record(self, self.count, client, stream=stream)

    def write(self, step: Callable[[Capture], None]) -> None:
        """Do one step on the capture; the first that fails ends it, and the relay goes on."""
        if self._capture is None:
            return
        try:
            step(self._capture)
        except OSError as error:
            self.display.say(
                f"tap: write failed: {error.strerror} ({error.errno}): "
                "the capture ends here; the command goes on"
            )
            self.close()

    def close(self) -> None:
        """Close the capture; a second call does nothing."""
        if self._capture is not None:
            with suppress(OSError):
                self._capture.close()
            self._capture = None


class Record:
    """What is known of one connection; a `direction.Watcher`."""

    def __init__(self, recorder: Recorder, number: int, client: str, *, stream: bool) -> None:
        self._recorder, self._number = recorder, number
        self._started = time.monotonic()
        self._bytes = {TO_CLIENT: 0}
        self._pair = Pair(number, f"#{number}: {client}")
        self._stream: Stream | None = None
        if stream:
            recorder.write(self._begin)

    def _begin(self, capture: Capture) -> None:
        self._stream = Stream(capture, self._pair)

    def passed(self, direction: str, data: bytes, descriptors: int) -> None:
        """See `direction.Watcher`."""
        self._bytes[direction] = self._bytes.get(direction, 0) + len(data)
        note = f" with {descriptors} descriptor{'s' * (descriptors != 1)}" if descriptors else ""
        self._recorder.display.data(self._number, direction, data, note)
        reply, stream = direction == TO_CLIENT, self._stream
        self._recorder.write(
            lambda capture: (
                stream.data(data, reply=reply)
                if stream
                else capture.packet(self._pair, data, reply=reply)
            )
        )

    def noted(self, direction: str, note: str) -> None:
        """See `direction.Watcher`."""
        self._recorder.display.event(f"#{self._number} {direction} {note}")

    def ended(self, direction: str, reason: str) -> None:
        """See `direction.Watcher`."""
        self.noted(direction, reason)
        if stream := self._stream:
            self._recorder.write(lambda _: stream.end(reply=direction == TO_CLIENT))

    def closed(self) -> None:
        """Print the sums."""
        replied = self._bytes.pop(TO_CLIENT)
        self._recorder.display.event(
            f"#{self._number} closed after {time.monotonic() - self._started:.3f} s: "
            f"{sum(self._bytes.values())} bytes sent, {replied} received"
        )
