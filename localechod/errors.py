"""The tree of errors; each has a text, what helps, and its exit status.

The text has one form everywhere: ``ACTION failed: CAUSE (ERRNO): PATH; WHAT HELPS``. Users know
the first part from programs in C.
"""

import errno
import os


class LocalechodError(Exception):
    """An error that a user or the machine can cause. It is never shown as a traceback.

    Args:
        text: one line without a full stop, already escaped for a terminal.
        hint: what helps, or "".
    """

    exit_status: int = 1

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text, hint)
        self.text = text
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.text}; {self.hint}" if self.hint else self.text


class UsageError(LocalechodError):
    """The command line, an address or a name is not valid."""

    exit_status = 2


class DaemonNotRunningError(LocalechodError):
    """The command needs the daemon, and no daemon answers on its control socket."""

    exit_status = 3


class NotPermittedError(LocalechodError):
    """The kernel or the access table refuses."""

    exit_status = 4


class NothingListensError(LocalechodError):
    """There is no socket, or no process listens on it (ENOENT, ECONNREFUSED)."""

    exit_status = 7


class ConfigError(LocalechodError):
    """The configuration cannot be used; sysexits.h calls it EX_CONFIG."""

    exit_status = 78


class SocketError(LocalechodError):
    """A system call on a local socket or its file failed.

    Args:
        action: the call in one word, as programs in C print it: bind, connect, chown.
        number: errno, see errno(3).
        path: the address, already escaped for a terminal, or "".
        hint: what helps, or "".
    """

    def __init__(self, action: str, number: int, path: str = "", hint: str = "") -> None:
        super().__init__(f"{action} failed: {os.strerror(number)} ({number})", hint)
        self.action = action
        self.errno = number
        self.path = path
        if number in {errno.EACCES, errno.EPERM}:
            self.exit_status = NotPermittedError.exit_status
        elif number in {errno.ENOENT, errno.ECONNREFUSED}:
            self.exit_status = NothingListensError.exit_status

    def __reduce__(self) -> tuple[type["SocketError"], tuple[str, int, str, str]]:
        """Return what a copy in another process is made of."""
        return type(self), (self.action, self.errno, self.path, self.hint)

    def __str__(self) -> str:
        located = f"{self.text}: {self.path}" if self.path else self.text
        return f"{located}; {self.hint}" if self.hint else located
