"""Messages to systemd and to its journal, sent in order and without waiting for either.

Every user may send to /run/systemd/notify and /run/systemd/journal/socket, and so may keep their
queues full. sd_notify(3) and sd_journal_send(3) wait for space then, and systemd-python keeps
Python's lock meanwhile, so that a thread would not help. So it is called when there is space.
"""

import asyncio
import errno
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

# How long a process without an event loop waits for space, in seconds.
_PATIENCE = 5.0

T = TypeVar("T")


@dataclass(slots=True)
class _Message(Generic[T]):
    data: T
    descriptors: list[int]
    name: str

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


class DatagramQueue(Generic[T]):
    """Sends messages at once; those for which there is no space, when there is some.

    Another sender may take the last space before a message does. Then it waits for the receiver's
    next read.

    Args:
        address: of the receiver, as NOTIFY_SOCKET has it (sd_notify(3)): a path, or an abstract
            name after "@".
        deliver: sends a message with its descriptors; may raise OSError.
        failed: gets the error and the message that is dropped; EAGAIN: too many wait.
        most: how many may wait.

    Attributes:
        failures: messages that were dropped.
    """

    def __init__(
        self,
        address: str,
        deliver: Callable[[T, list[int]], object],
        failed: Callable[[OSError, T], None],
        most: int = sys.maxsize,
    ) -> None:
        self._deliver = deliver
        self._failed = failed
        self._most = most
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._waiting: deque[_Message[T]] = deque()
        self.failures = 0
        # Connected, so that poll(2) reports space in the receiver's queue. It sends nothing.
        self._probe: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all messages are sent, or have failed."""
        return not self._waiting

    def send(self, data: T, descriptors: Sequence[int] = (), *, name: str = "") -> None:
        """Send a message, now or later. With an error it is dropped.

        Without a running event loop this waits for some seconds.

        Args:
            data: what `deliver` gets.
            descriptors: duplicates of them are sent.
            name: the message takes the place of a waiting one of this name, if there is one.
        """
        for message in self._waiting if name else ():
            if message.name == name:
                message.data = data
                return
        if len(self._waiting) >= self._most:
            self._drop(OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)), data)
            return
        copies: list[int] = []
        try:
            copies.extend(os.dup(descriptor) for descriptor in descriptors)
        except OSError as error:
            self._drop(error, data)
            return
        self._waiting.append(_Message(data, copies, name))
        if self._loop is None:
            self._send_waiting()
            self._wait_for_space()

    def flush(self, seconds: float) -> bool:
        """Wait until all messages are sent; False: not in so many seconds."""
        deadline = time.monotonic() + seconds
        while self._waiting and (left := deadline - time.monotonic()) > 0:
            if self._probe is not None:
                _has_space(self._probe, left)
            self._send_waiting()
        return self.is_empty

    def _wait_for_space(self) -> None:
        if self._probe is None:
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush(_PATIENCE)
            return
        self._loop.add_writer(self._probe, self._send_waiting)

    def _send_waiting(self) -> None:
        while self._waiting:
            message = self._waiting[0]
            try:
                if self._probe is None:
                    self._probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    self._probe.connect(self._address)
                if not _has_space(self._probe, 0):
                    return
                self._deliver(message.data, message.descriptors)
            except InterruptedError:
                continue  # another sender had taken the space, and a signal ended the wait
            except OSError as error:
                self._drop(error, message.data)
            self._waiting.popleft().close()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._probe is None:
            return
        if self._loop is not None:
            self._loop.remove_writer(self._probe)
            self._loop = None
        self._probe.close()
        self._probe = None

    def _drop(self, error: OSError, data: T) -> None:
        self.failures += 1
        self._failed(error, data)


def _has_space(probe: socket.socket, seconds: float) -> bool:
    """Wait until the receiver's queue has space; an error counts as space."""
    space = select.poll()
    space.register(probe, select.POLLOUT)
    return bool(space.poll(seconds * 1000))
