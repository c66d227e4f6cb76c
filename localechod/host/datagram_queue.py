"""Messages to systemd and to its journal, sent in order and without waiting for either.

Every user may send to /run/systemd/notify and /run/systemd/journal/socket, and so may keep their
queues full. sd_notify(3) and sd_journal_send(3) wait for space then, and systemd-python keeps
Python's lock meanwhile, so that a thread would not help.
"""

import asyncio
import errno
import os
import select
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# How long a process without an event loop waits for space, in seconds.
_PATIENCE = 5.0


@dataclass(slots=True)
class _Message:
    data: bytes
    descriptors: list[int]
    replaceable: bool

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


class DatagramQueue:
    """Sends messages at once; those for which there is no space, when there is some.

    Args:
        address: as NOTIFY_SOCKET has it (sd_notify(3)), a path or an abstract name after "@".
        failed: gets the error and the message that is dropped; EAGAIN: too many wait.
        most: how many may wait.

    Attributes:
        failures: messages that were dropped.
    """

    def __init__(
        self, address: str, failed: Callable[[OSError, bytes], None], most: int = sys.maxsize
    ) -> None:
        self._failed = failed
        self._most = most
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._waiting: deque[_Message] = deque()
        self.failures = 0
        # Connected, so that poll(2) reports space in the manager's queue, and not in its own.
        self._sock: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all messages are sent, or have failed."""
        return not self._waiting

    def send(self, data: bytes, descriptors: Sequence[int] = (), *, replace: bool = False) -> None:
        """Send a message, now or later. With an error it is dropped.

        Without a running event loop this waits for some seconds.

        Args:
            data: lines of NAME=VALUE.
            descriptors: duplicates of them are sent.
            replace: it takes the place of a waiting message of the same name, if there is one.
        """
        name = data.partition(b"=")[0]
        for message in self._waiting if replace else ():
            if message.replaceable and message.data.partition(b"=")[0] == name:
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
        self._waiting.append(_Message(data, copies, replace))
        if self._loop is None:
            self._send_waiting()
            self._wait_for_space()

    def flush(self, seconds: float) -> bool:
        """Wait until all messages are sent; False: not in so many seconds."""
        deadline = time.monotonic() + seconds
        while self._waiting and (left := deadline - time.monotonic()) > 0:
            if self._sock is not None:
                space = select.poll()
                space.register(self._sock, select.POLLOUT)
                space.poll(left * 1000)
            self._send_waiting()
        return self.is_empty

    def _wait_for_space(self) -> None:
        if self._sock is None:
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush(_PATIENCE)
            return
        self._loop.add_writer(self._sock, self._send_waiting)

    def _send_waiting(self) -> None:
        while self._waiting:
            message = self._waiting[0]
            try:
                self._send(message)
            except BlockingIOError:
                return
            except OSError as error:
                self._drop(error, message.data)
            self._waiting.popleft().close()
        self._disconnect()

    def _send(self, message: _Message) -> None:
        if self._sock is None:
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._sock.connect(self._address)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", message.descriptors))
        self._sock.sendmsg([message.data], [rights] if message.descriptors else [])

    def _disconnect(self) -> None:
        if self._sock is None:
            return
        if self._loop is not None:
            self._loop.remove_writer(self._sock)
            self._loop = None
        self._sock.close()
        self._sock = None

    def _drop(self, error: OSError, data: bytes) -> None:
        self.failures += 1
        self._failed(error, data)
