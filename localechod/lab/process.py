"""A process of an experiment: forked, so that it runs as any user, with its terminal in our hands.

Forked and not executed: what it runs is imported by now, and another user may not be able to read
the place where this program lies, such as a checkout below /root.
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
"""How long anything may take before it counts as something that does not happen."""

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15  # linux/prctl.h
_RESTORED = (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP)  # ours may differ


class StalledError(Exception):
    """A process did not do, within `TIMEOUT`, what the experiment waits for."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """Who a process is, and where it begins.

    Attributes:
        name: what listings show as its command; the kernel keeps 15 bytes.
        directory: its working directory.
        ids: the uid and gid to become, None to stay who we are.
    """

    name: str
    directory: str
    ids: tuple[int, int] | None = None


class Process:
    """A child with a pipe as its keyboard and a pipe as its screen.

    Attributes:
        screen: what was typed and shown, in this order, as a terminal has it.
        termination: "" while it is not known to have ended, then "exit 0", "SIGPIPE" and the like.
    """

    def __init__(
        self, spec: ProcessSpec, main: Callable[[], None], keep: Collection[int] = ()
    ) -> None:
        """Start it.

        Args:
            spec: who it is.
            main: what it does; it ends when that returns.
            keep: descriptors of ours that it goes on using; all others are closed in it.

        Raises:
            OSError: no process or descriptor is left.
        """
        self.transcript: list[str] = []
        self.termination = ""
        self._unread = b""
        stdin, self._keyboard = os.pipe()
        self._shown, stdout = os.pipe()
        # A signal that comes before the child is ready for it would be lost in handlers of ours.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _RESTORED)
        try:
            self.pid = os.fork()
            if not self.pid:
                _live(spec, main, (stdin, stdout, stdout), keep)
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
        """Let it go on, where it waits for a line; nothing of that is shown."""
        with suppress(BrokenPipeError):  # it has ended, which the experiment will see
            os.write(self._keyboard, text.encode() + b"\n")

    def read_line(self) -> str:
        """Return the next line that it shows; "" where it ends without one.

        Raises:
            StalledError: it shows none.
        """
        deadline = time.monotonic() + TIMEOUT
        while b"\n" not in self._unread:
            _wait(self._shown, deadline, "no further output")
            data = os.read(self._shown, 65536)
            if not data:
                break
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        text = line.decode("utf-8", "backslashreplace")
        if text:
            self.transcript.append(text)
        return text

    def read_lines(self, count: int) -> list[str]:
        """Return so many further lines; see `line`."""
        return [self.read_line() for _ in range(count)]

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.transcript.append("^C")
        os.kill(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.transcript.append("(kill -9)")
        os.kill(self.pid, signal.SIGKILL)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not select.select([self._pidfd], [], [], 0)[0]

    def wait(self) -> str:
        """Wait for its end; return how it ended: "exit 0", "SIGPIPE".

        Raises:
            StalledError: it goes on.
        """
        while self.read_line():
            pass
        _wait(self._pidfd, time.monotonic() + TIMEOUT, "it does not end")
        self._reap()
        self.transcript.append(f"({self.termination})")
        return self.termination

    def close(self) -> None:
        """Make sure that nothing is left of it."""
        if not self.termination:
            os.kill(self.pid, signal.SIGKILL)
            self._reap()
        for descriptor in (self._keyboard, self._shown, self._pidfd):
            os.close(descriptor)

    def _reap(self) -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.termination = f"exit {code}" if code >= 0 else signal.Signals(-code).name


def _wait(descriptor: int, deadline: float, otherwise: str) -> None:
    if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        raise StalledError(f"{otherwise} within {TIMEOUT:g} s")


def _live(
    spec: ProcessSpec,
    main: Callable[[], None],
    terminal: tuple[int, int, int],
    keep: Collection[int],
) -> NoReturn:
    status = 70
    try:
        for standard, descriptor in enumerate(terminal):
            os.dup2(descriptor, standard)
        # The other ends of all pipes above all: an end of file has to be one.
        begin = 3
        for descriptor in (*sorted(keep), os.sysconf("SC_OPEN_MAX")):
            os.closerange(begin, descriptor)
            begin = descriptor + 1
        for number in _RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(0o022)
        os.chdir(spec.directory)
        _become(spec)
        main()
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - the experiment reads it, and is surprised
        os.write(1, f"{error!r}\n".encode())
    finally:
        os._exit(status)


def _become(spec: ProcessSpec) -> None:
    if spec.ids is not None:
        uid, gid = spec.ids
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, spec.name.encode())
    # Whatever ends the lab, kill -9 included, ends its processes; a change of ids would clear it.
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
