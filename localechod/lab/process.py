"""A process of an experiment, forked from this one, with pipes as its standard input and output.

It is forked and not executed: its code is already loaded, while another user may lack permission to
read this program's files, such as a checkout below /root.
"""

import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

TIMEOUT = 20.0
"""Seconds to wait for a process before it counts as stalled."""

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15  # linux/prctl.h
# Signals that the child resets to their default actions; this process may handle them otherwise.
_RESET = (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP)


class StalledError(Exception):
    """A process did not print a line, or exit, within `TIMEOUT` seconds."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """The attributes of a process.

    Attributes:
        name: its command name in listings; the kernel keeps 15 bytes (prctl(2), PR_SET_NAME).
        directory: its working directory.
        ids: its uid and gid; None for those of this process.
    """

    name: str
    directory: str
    ids: tuple[int, int] | None = None


class Process:
    """A child process with pipes in place of a terminal.

    Attributes:
        transcript: its input and output in the order in which a terminal would show them.
        termination: "" before it has been waited for, then for example "exit 0" or "SIGPIPE".
    """

    def __init__(
        self, spec: ProcessSpec, main: Callable[[], None], keep: Collection[int] = ()
    ) -> None:
        """Start the process.

        Args:
            spec: its attributes.
            main: the function that it runs; it exits when the function returns.
            keep: descriptors that it inherits; all others are closed in it.

        Raises:
            OSError: too many processes or descriptors.
        """
        self.transcript: list[str] = []
        self.termination = ""
        self._unread = b""
        stdin, self._stdin = os.pipe()
        self._stdout, stdout = os.pipe()
        # Blocked: until the child has reset them, this process's handlers would swallow signals.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _RESET)
        try:
            self.pid = os.fork()
            if not self.pid:
                _run_child(spec, main, (stdin, stdout, stdout), keep)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(stdin)
        os.close(stdout)
        self._pidfd = os.pidfd_open(self.pid)

    def type(self, text: str) -> None:
        """Type a line."""
        self.transcript.append(text or "(Enter)")
        self.resume(text)

    def resume(self, text: str = "") -> None:
        """Send a line to a process that waits for one, without a trace in the transcript."""
        with suppress(BrokenPipeError):  # it has exited, which the experiment will notice
            os.write(self._stdin, text.encode() + b"\n")

    def read_line(self) -> str:
        """Return the next line of its output; "" at the end of the output.

        Raises:
            StalledError: it printed no line within `TIMEOUT` seconds.
        """
        deadline = time.monotonic() + TIMEOUT
        while b"\n" not in self._unread:
            _wait(self._stdout, deadline, "no further output")
            data = os.read(self._stdout, 65536)
            if not data:
                break
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        text = line.decode("utf-8", "backslashreplace")
        if text:
            self.transcript.append(text)
        return text

    def read_lines(self, count: int) -> list[str]:
        """Return the next `count` lines, as `read_line` does."""
        return [self.read_line() for _ in range(count)]

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.transcript.append("^C")
        os.kill(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """Send SIGKILL, as kill -9 does."""
        self.transcript.append("(kill -9)")
        os.kill(self.pid, signal.SIGKILL)

    @property
    def running(self) -> bool:
        """Whether the process has not exited."""
        return not select.select([self._pidfd], [], [], 0)[0]

    def wait(self) -> str:
        """Wait until the process exits; return its termination: "exit 0", "SIGPIPE".

        Raises:
            StalledError: it did not exit within `TIMEOUT` seconds.
        """
        while self.read_line():
            pass
        _wait(self._pidfd, time.monotonic() + TIMEOUT, "no exit")
        self._reap()
        self.transcript.append(f"({self.termination})")
        return self.termination

    def close(self) -> None:
        """Kill the process if it is running, and close its descriptors."""
        if not self.termination:
            os.kill(self.pid, signal.SIGKILL)
            self._reap()
        for descriptor in (self._stdin, self._stdout, self._pidfd):
            os.close(descriptor)

    def _reap(self) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.termination = f"exit {code}" if code >= 0 else signal.Signals(-code).name


def _wait(descriptor: int, deadline: float, failure: str) -> None:
    if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        raise StalledError(f"{failure} within {TIMEOUT:g} s")


def _run_child(
    spec: ProcessSpec,
    main: Callable[[], None],
    standard: tuple[int, int, int],
    keep: Collection[int],
) -> NoReturn:
    status = 70
    try:
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
        # Above all the other ends of the pipes: an open copy would prevent end of file.
        begin = 3
        for descriptor in (*sorted(keep), os.sysconf("SC_OPEN_MAX")):
            os.closerange(begin, descriptor)
            begin = descriptor + 1
        for each in _RESET:
            signal.signal(each, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(0o022)
        os.chdir(spec.directory)
        _set_credentials(spec)
        main()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - the experiment reads it: a surprise
        os.write(1, f"{error!r}\n".encode())
    finally:
        os._exit(status)


def _set_credentials(spec: ProcessSpec) -> None:
    if spec.ids is not None:
        uid, gid = spec.ids
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, spec.name.encode())
    # The kernel kills this process when the lab exits, even by kill -9. Set after the ids: a change
    # of ids clears it (prctl(2)).
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
