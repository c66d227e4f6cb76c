"""The command's start: a child process that puts the filter on itself, then becomes the command."""

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Sequence
from typing import NamedTuple

from localechod.errors import LocalechodError, NotPermittedError, UsageError
from localechod.tap.supervision import MACHINE, Machine, program, supervise_self, take
from localechod.text import escape

_LISTEN = "use --listen NEWPATH, and point the command to NEWPATH"


class Command(NamedTuple):
    """A running command.

    Attributes:
        pid: its process.
        pidfd: a descriptor for it (pidfd_open(2)).
        listener: reports the system calls that wait for an answer.
    """

    pid: int
    pidfd: int
    listener: int


class NoCommandError(LocalechodError):
    """The command cannot be run; as in a shell, 127 where there is none, and otherwise 126."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"exec failed: {os.strerror(number)} ({number}): {escape(name)}")
        self.exit_status = 127 if number == errno.ENOENT else 126


def start(arguments: Sequence[str], *, sends: bool) -> Command:
    """Start a command under the filter.

    Args:
        arguments: the command and its arguments; without a "/", it is looked up in PATH.
        sends: the filter also reports sends, as a datagram socket needs it.

    Raises:
        NoCommandError: it cannot be run.
        NotPermittedError: the kernel refuses the filter.
        UsageError: this kind of machine is not supported.
    """
    if MACHINE is None:
        raise UsageError(f"tap: not supported on {os.uname().machine}", _LISTEN)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _become(arguments, MACHINE, theirs, sends=sends)
    theirs.close()
    with ours:
        pidfd = os.pidfd_open(pid)
        try:
            return Command(pid, pidfd, _handshake(ours, pidfd, arguments[0]))
        except BaseException:
            os.close(pidfd)
            ours.close()  # ends the child, if it waits for us
            os.waitpid(pid, 0)
            raise


def _handshake(channel: socket.socket, pidfd: int, name: str) -> int:
    """Take the listener, let the child go on, and learn whether it became the command."""
    kind, number = _read(channel)
    if kind == "refused":
        raise NotPermittedError(
            f"seccomp failed: {os.strerror(number)} ({number}): cannot supervise the command",
            f"a container or a filter forbids it, or another supervisor is there; {_LISTEN}",
        )
    try:
        listener = take(pidfd, number)
    except OSError as error:
        raise NotPermittedError(
            f"pidfd_getfd failed: {error.strerror} ({error.errno}): cannot supervise the command",
            _LISTEN,
        ) from error
    channel.sendall(b"\n")
    with contextlib.suppress(EOFError):  # the descriptor was closed by a successful execve(2)
        _, number = _read(channel)
        os.close(listener)
        raise NoCommandError(name, number)
    return listener


def _read(channel: socket.socket) -> tuple[str, int]:
    line = channel.recv(64).decode()
    if not line:
        raise EOFError
    kind, number = line.split()
    return kind, int(number)


def _become(
    arguments: Sequence[str], machine: Machine, channel: socket.socket, *, sends: bool
) -> None:
    """In the child: never returns. The descriptor of the channel is closed on exec."""
    try:
        # Python ignores these two; a command expects the defaults.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        try:
            listener = supervise_self(program(machine, sends=sends))
        except OSError as error:
            channel.send(f"refused {error.errno}\n".encode())
            os._exit(126)
        # Written, not passed with sendmsg(2): the filter would stop that until we were there.
        os.write(channel.fileno(), f"listener {listener}\n".encode())
        if not channel.recv(1):
            os._exit(126)
        os.execvp(arguments[0], list(arguments))  # noqa: S606 - the user's own command, without a shell
    except OSError as error:
        os.write(channel.fileno(), f"exec {error.errno}\n".encode())
    finally:
        os._exit(126)
