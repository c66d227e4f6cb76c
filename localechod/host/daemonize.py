"""Daemonizing: detaching, and the result that is reported to the shell that started the daemon.

``--detach`` forks once before python-daemon does: the process that the shell waits for stays until
the daemon reports that it serves, or why it does not. So ``localechod --detach && ...`` goes on
only once the daemon serves. A daemon that dies without a report is noticed too: the kernel closes
its end of the pipe.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TextIO

from daemon import DaemonContext

from localechod.errors import LocalechodError
from localechod.text import failure, printable

_STREAMS = ("stdin", "stdout", "stderr")
# pipe(7): up to PIPE_BUF (4096) bytes are written whole or not at all.
_LONGEST_REASON = 4000


class Background:
    """The process as a daemon, and its report to the waiting shell; made by :meth:`start`."""

    def __init__(self, report: int | None) -> None:
        self._report = report

    @classmethod
    def start(cls, *, detach: bool, preserve: Sequence[int] = ()) -> "Background":
        """Set the process up as a daemon, in the background if asked.

        In the foreground too: working directory ``/``, umask 022, no core files, standard input
        from /dev/null, and every descriptor closed that is neither standard nor in ``preserve``.
        Detached, a new session, a new pid, and all three
        standard streams on /dev/null. Call it before the event loop and any thread exist.

        Returns:
            In the daemon only; the process that the shell started ends here.

        Raises:
            LocalechodError: fork failed, or the process could not be set up.
            SystemExit: the same, after the shell has been told.
        """
        kept = list(preserve)
        background = cls(_leave_shell() if detach else None)
        if background._report is not None:
            kept.append(background._report)
        try:
            _context(detach=detach, preserve=kept).open()
        except OSError as error:  # python-daemon's own errors are of that kind
            text = f"going to the background failed: {error}"
            if not detach:
                raise LocalechodError(text) from None
            background.failed(text, 1)
            raise SystemExit(1) from None  # the shell has been told; do not tell it twice
        return background

    def ready(self) -> None:
        """Tell the shell that the daemon serves: its command ends with 0. Once is enough."""
        self._tell(0, "")

    def failed(self, text: str, status: int) -> None:
        """Report why the daemon does not serve, on the standard error of the shell that started it.

        Args:
            text: one line, as it shall appear on standard error.
            status: the exit status, not 0, that the shell's command shall end with.
        """
        if self._report is None:
            _say(text)
        else:
            self._tell(status, text)

    def _tell(self, status: int, text: str) -> None:
        if self._report is None:
            return
        message = f"{status}\n{text}".encode(errors="backslashreplace")[:_LONGEST_REASON]
        with contextlib.suppress(BrokenPipeError):  # the waiting process has gone
            os.write(self._report, message)
        os.close(self._report)
        self._report = None


def open_standard_streams() -> None:
    """Open /dev/null as each standard descriptor that is closed at the start.

    It has to come first: the next file opened would get the number, and pass for the stream.
    """
    for descriptor, name in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def parse_report(message: bytes) -> tuple[int, str]:
    """Return the exit status and the text to print, from all that came through the pipe."""
    status, separator, text = message.decode(errors="replace").partition("\n")
    if not separator or not status.isdigit():
        return 1, "localechod ended before it was ready, without giving a reason"
    return int(status), text


def await_report(pipe: int) -> int:
    """Wait for the daemon's report, print its text to standard error; return the exit status."""
    with open(pipe, "rb") as reader:
        status, text = parse_report(reader.read())
    if text:
        _say(text)
    return status


def _say(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def _leave_shell() -> int:
    """Fork; the original process waits and ends, the child returns its end of the pipe."""
    try:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or both processes print what is waiting
        pid = os.fork()
    except OSError as error:
        raise LocalechodError(failure("fork", error.errno)) from None
    if pid == 0:
        return writer  # DaemonContext closes the other end
    os.close(writer)
    # Ctrl-C ends the waiting quietly; the daemon is in its own session by then and goes on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # _exit, not exit: locks, files and exit handlers are the daemon's now.
    os._exit(await_report(reader))


def _context(*, detach: bool, preserve: list[int]) -> DaemonContext:
    # Every argument is given: the defaults guess (detach_process looks at the parent's pid), open
    # (umask 0) or take over (signal_map, the uid) what is decided elsewhere in this program.
    output: tuple[TextIO | None, TextIO | None] = (
        (None, None) if detach else (sys.stdout, sys.stderr)  # None: /dev/null
    )
    return DaemonContext(
        chroot_directory=None,
        working_directory="/",
        # All may read new files and only the daemon may write them, whatever umask the shell has.
        # With 0, a forgotten mode would be a file that any user may write. bind sets the modes
        # of sockets.
        umask=0o022,
        # No change: root is needed to bind, and privileges.drop changes all ids later.
        uid=os.getuid(),
        gid=os.getgid(),
        initgroups=False,
        prevent_core=True,  # what peers wrote is in memory, and does not belong in a file
        detach_process=detach,
        files_preserve=preserve,
        # host.pidfile has it: python-daemon's own removes the file, which the dropped user may not.
        pidfile=None,
        stdin=None,
        stdout=output[0],
        stderr=output[1],
        signal_map={},  # asyncio's; the default would ignore SIGTSTP and raise on SIGTERM
    )
