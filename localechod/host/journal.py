"""Entries for the journal, by sd_journal_send(3)."""

import atexit
import os
import sys
from collections.abc import Callable
from pathlib import Path

from localechod.host.datagram_queue import DatagramQueue

# Entries that wait while journald's queue is full: a hundred seconds of what all peers can cause.
_MOST = 1000
# How long the end of the process waits for them, in seconds.
_PATIENCE = 5.0

# A message, and its fields.
_Entry = tuple[str, dict[str, str | int]]


class Journal:
    """Sends entries without waiting for journald; those that fail go to standard error.

    Args:
        path: of journald's socket.
        send: systemd.journal.send, or a replacement in a test.
    """

    def __init__(self, path: Path, send: Callable[..., object]) -> None:
        self._send = send
        self._queue = DatagramQueue(str(path), self._deliver, _lost, _MOST)
        atexit.register(self._queue.flush, _PATIENCE)

    def __call__(self, message: str, **fields: str | int) -> None:
        """Send an entry, now or when there is space."""
        self._queue.send((message, fields))

    def _deliver(self, entry: _Entry, _: list[int]) -> None:
        message, fields = entry
        self._send(message, **fields)


def _lost(error: OSError, entry: _Entry) -> None:
    text = f"{os.strerror(error.errno or 0)} ({error.errno}): {entry[0]}"
    sys.stderr.write(f"sending to the journal failed: {text}\n")
