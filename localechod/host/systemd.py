"""Notifications to systemd (sd_notify(3)): ready, status, stopping, watchdog.

They go through systemd-python (the extra ``localechod[systemd]``), which needs libsystemd. A plain
installation does without, and refuses to start only where systemd waits for a notification.
"""

import logging
import os
import select
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence

from localechod.errors import LocalechodError
from localechod.host.datagram_queue import DatagramQueue
from localechod.text import printable

_log = logging.getLogger("localechod.host.systemd")
_ADDRESS = "NOTIFY_SOCKET"


def watchdog_period(
    environ: Mapping[str, str] = os.environ, *, pid: int | None = None
) -> float | None:
    """Return the period in seconds for :meth:`Notifier.watchdog`; None: no watchdog.

    It is half of what systemd allows, as sd_watchdog_enabled(3) recommends. The variables may stay
    in the environment: with WATCHDOG_PID, no other process takes them for its own.
    """
    own = str(os.getpid() if pid is None else pid)
    allowed = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", own) != own or not (allowed.isascii() and allowed.isdigit()):
        return None
    return int(allowed) / 2 / 1_000_000 or None


class Notifier:
    """Sends notifications to the service manager (sd_notify(3)); without one, it sends nothing.

    NOTIFY_SOCKET is taken out of the environment, and put back only during each call, because
    libsystemd looks for it there. So no child process inherits it.

    Args:
        environ: has the variable; libsystemd sees it in ``os.environ`` only.

    Raises:
        LocalechodError: systemd waits for a notification, and systemd-python cannot be imported.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._address = environ.get(_ADDRESS, "")
        self._queue: DatagramQueue[str] | None = None
        if self._address:
            self._notify = _notify()
            self._queue = DatagramQueue(self._address, self._deliver, _failed)
        environ.pop(_ADDRESS, None)

    @property
    def supervised(self) -> bool:
        """Whether a service manager waits for notifications."""
        return self._queue is not None

    def ready(self, text: str = "") -> None:
        """Say that the daemon serves."""
        self._send("READY=1", *_status(text))

    def status(self, text: str) -> None:
        """Show one line in ``systemctl status``; "" takes it away."""
        self._send(*(_status(text) or ["STATUS="]), name="STATUS")

    def stopping(self, text: str = "") -> None:
        """Say that the daemon is about to end."""
        self._send("STOPPING=1", *_status(text))

    def watchdog(self) -> None:
        """Say that the data plane has just answered."""
        self._send("WATCHDOG=1", name="WATCHDOG")

    def store(self, *lines: str, descriptors: Sequence[int] = ()) -> None:
        """Put descriptors into the manager's store, or take them out; see fdstore.py."""
        self._send(*lines, descriptors=descriptors)

    @property
    def is_waiting(self) -> bool:
        """Whether messages wait because the manager's queue is full."""
        return self._queue is not None and not self._queue.is_empty

    def flush(self, seconds: float) -> bool:
        """Wait until all messages are sent; False: not in so many seconds."""
        return self._queue is None or self._queue.flush(seconds)

    def barrier(self, seconds: float) -> bool:
        """Wait until the manager has read every earlier notification; False: it has not, in time.

        As sd_notify_barrier(3) does: the manager closes the end of a pipe that it was sent.
        """
        if self._queue is None:
            return False
        deadline, failures = time.monotonic() + seconds, self._queue.failures
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            self._send("BARRIER=1", descriptors=[writer])
            os.close(writer)
            if not self.flush(seconds) or self._queue.failures > failures:
                return False
            waiting = select.poll()
            waiting.register(reader, 0)  # POLLHUP is always reported
            return bool(waiting.poll(max(0.0, deadline - time.monotonic()) * 1000))
        finally:
            os.close(reader)

    def _send(self, *lines: str, descriptors: Sequence[int] = (), name: str = "") -> None:
        if self._queue is not None:
            self._queue.send("\n".join(lines), descriptors, name=name)

    def _deliver(self, text: str, descriptors: list[int]) -> None:
        self._environ[_ADDRESS] = self._address
        try:
            self._notify(text, fds=descriptors)
        finally:
            del self._environ[_ADDRESS]


def _failed(error: OSError, _: str) -> None:
    # The daemon goes on: its clients do not depend on notifications.
    _log.warning("notifying systemd failed: %s", error)


def _status(text: str) -> list[str]:
    return [f"STATUS={printable(text)}"] if text else []  # a newline would start another variable


def _notify() -> Callable[..., object]:
    try:
        from systemd.daemon import notify  # noqa: PLC0415 - optional, and only here needed
    except ImportError:
        raise LocalechodError(
            "started by systemd (NOTIFY_SOCKET is set), but systemd-python is not installed",
            "install it: pip install systemd-python (needs gcc, pkg-config, python3-dev and"
            " libsystemd-dev), or the package python3-systemd, which an environment with"
            " --system-site-packages finds",
        ) from None
    function: Callable[..., object] = notify
    return function
