"""What systemd is told: readiness, status, reload, stop, and that the daemon still works.

Through systemd-python (the extra ``localechod[systemd]``), which needs libsystemd; a plain
installation goes without, and only refuses to be a service that systemd waits to hear from.
"""

import logging
import os
import select
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from time import CLOCK_MONOTONIC, clock_gettime_ns

from localechod.errors import LocalechodError
from localechod.text import printable

_log = logging.getLogger("localechod.host.systemd")
_ADDRESS = "NOTIFY_SOCKET"


def supervised(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a service manager waits to hear from us; ask before there is a Notifier."""
    return bool(environ.get(_ADDRESS))


def watchdog_period(
    environ: Mapping[str, str] = os.environ, *, pid: int | None = None
) -> float | None:
    """Return every how many seconds to call :meth:`Notifier.watchdog`; None: never.

    Half of what systemd allows, as sd_watchdog_enabled(3) recommends. The variables may stay in
    the environment: WATCHDOG_PID keeps them from meaning anything to another process.
    """
    own = str(os.getpid() if pid is None else pid)
    allowed = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", own) != own or not (allowed.isascii() and allowed.isdigit()):
        return None
    return int(allowed) / 2 / 1_000_000 or None


class Notifier:
    """Speaks to the service manager (sd_notify(3)), or to nobody where there is none.

    It takes NOTIFY_SOCKET out of the environment and puts it back for the length of each call
    only, because libsystemd looks for it there: no child process can ever inherit it.

    Args:
        environ: where the variable is; libsystemd sees it in ``os.environ`` only.

    Raises:
        LocalechodError: systemd waits to hear from us, and systemd-python cannot be imported.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._address = environ.get(_ADDRESS, "")
        self._notify = _notify() if self._address else None
        environ.pop(_ADDRESS, None)

    @property
    def supervised(self) -> bool:
        """Whether anybody listens; unlike the function of this name it does not wear off."""
        return self._notify is not None

    def ready(self, text: str = "") -> None:
        """Say that the daemon serves, after its start and after each :meth:`reloading`."""
        self._send("READY=1", *_status(text))

    def status(self, text: str) -> None:
        """Show one line in ``systemctl status``; "" takes it away."""
        self._send(*(_status(text) or ["STATUS="]))

    def reloading(self, text: str = "") -> None:
        """Say that the configuration is being read again; :meth:`ready` has to follow."""
        # The time is asked for by Type=notify-reload (systemd 253) and ignored before that.
        now = clock_gettime_ns(CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", *_status(text))

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
        """Wait until the manager has read all that was said before; False where it did not.

        As sd_notify_barrier(3) does: the manager closes the pipe's end that it was sent.
        """
        if self._notify is None:
            return False
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            sent = self._send("BARRIER=1", descriptors=[writer])
            os.close(writer)
            waiting = select.poll()
            waiting.register(reader, 0)  # POLLHUP comes unasked
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
            # Not the daemon's end: what it serves does not depend on who hears of it.
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
            "install it with: pip install 'localechod[systemd]'",
        ) from None
    function: Callable[..., object] = notify
    return function
