"""Notifications to systemd (sd_notify(3)): ready, status, stopping, watchdog.

They go through systemd-python (the extra ``localechod[systemd]``), which needs libsystemd. A plain
installation does without, and refuses to start only where systemd waits for a notification.
"""

import logging
import os
import select
from collections.abc import Callable, Mapping, MutableMapping, Sequence

from localechod.errors import LocalechodError
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
        self._notify = _notify() if self._address else None
        environ.pop(_ADDRESS, None)

    @property
    def supervised(self) -> bool:
        """Whether a service manager waits for notifications."""
        return self._notify is not None

    def ready(self, text: str = "") -> None:
        """Say that the daemon serves."""
        self._send("READY=1", *_status(text))

    def status(self, text: str) -> None:
        """Show one line in ``systemctl status``; "" takes it away."""
        self._send(*(_status(text) or ["STATUS="]))

    def stopping(self, text: str = "") -> None:
        """Say that the daemon is about to end."""
        self._send("STOPPING=1", *_status(text))

    def watchdog(self) -> None:
        """Say that the data plane has just answered."""
        self._send("WATCHDOG=1")

    def store(self, *lines: str, descriptors: Sequence[int] = ()) -> None:
        """Put descriptors into the manager's store, or take them out; see fdstore.py."""
        self._send(*lines, descriptors=descriptors)

    def barrier(self, seconds: float) -> bool:
        """Wait until the manager has read every earlier notification; False: it has not, in time.

        As sd_notify_barrier(3) does: the manager closes the end of a pipe that it was sent.
        """
        if self._notify is None:
            return False
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            sent = self._send("BARRIER=1", descriptors=[writer])
            os.close(writer)
            waiting = select.poll()
            waiting.register(reader, 0)  # POLLHUP is always reported
            return sent and bool(waiting.poll(seconds * 1000))
        finally:
            os.close(reader)

    def _send(self, *lines: str, descriptors: Sequence[int] = ()) -> bool:
        if self._notify is None:
            return False
        self._environ[_ADDRESS] = self._address
        try:
            self._notify("\n".join(lines), fds=list(descriptors))
        except OSError as error:
            # The daemon goes on: its clients do not depend on notifications.
            _log.warning("notifying systemd failed: %s", error)
            return False
        finally:
            del self._environ[_ADDRESS]
        return True


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
