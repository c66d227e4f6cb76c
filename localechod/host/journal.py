"""Entries for the journal, in its native protocol: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/."""

import atexit
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from localechod.host.datagram_queue import DatagramQueue

# Entries that wait while journald's queue is full: a hundred seconds of what all peers can cause.
_MOST = 1000
# How long the end of the process waits for them, in seconds.
_PATIENCE = 5.0


class Journal:
    """Sends entries without waiting for journald; those that fail go to standard error.

    Args:
        path: of journald's socket.
    """

    def __init__(self, path: Path) -> None:
        self._queue = DatagramQueue(str(path), _lost, _MOST)
        atexit.register(self._queue.flush, _PATIENCE)

    def __call__(self, message: str, **fields: str | int) -> None:
        """Send an entry, now or when there is space."""
        self._queue.send(entry({"MESSAGE": message, **fields}))


def entry(fields: Mapping[str, str | int]) -> bytes:
    """Return an entry. A value with a newline has its length before it, so that it is one value."""
    return b"".join(_field(name.encode(), str(value)) for name, value in fields.items())


def _field(name: bytes, value: str) -> bytes:
    data = value.encode(errors="replace")
    if b"\n" not in data:
        return name + b"=" + data + b"\n"
    return name + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"


def _lost(error: OSError, data: bytes) -> None:
    message = data.partition(b"\n")[0].removeprefix(b"MESSAGE=").decode()
    text = f"{os.strerror(error.errno or 0)} ({error.errno}): {message}"
    sys.stderr.write(f"sending to the journal failed: {text}\n")
