"""The command's start: a child process that puts the filter on itself, then becomes the command."""

import errno
import fcntl
import os
import resource
import signal
import socket
from collections.abc import Sequence
from typing import NamedTuple

from localechod.errors import LocalechodError, NotPermittedError, UsageError
from localechod.tap.supervision import MACHINE, Machine, program, supervise_self
from localechod.text import escape

_SIGNALLED = 128
_CHANNEL = 1000  # a number of a descriptor
_LONGEST = 64  # of a message in the channel
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


def shell_status(code: int) -> int:
    """Return an exit code of subprocess as a shell has it: 128 + N where signal N ended it."""
    return code if code >= 0 else _SIGNALLED - code


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
        try:
            return Command(pid, os.pidfd_open(pid), _listener(ours, arguments[0]))
        except LocalechodError:
            os.waitpid(pid, 0)
            raise


def _listener(channel: socket.socket, name: str) -> int:
    """Receive the listener, and learn whether the child became the command."""
    said, descriptors, _, _ = socket.recv_fds(channel, _LONGEST, 1)
    if not descriptors:
        number = int(said)
        raise NotPermittedError(
            f"seccomp failed: {os.strerror(number)} ({number}): cannot supervise the command",
            f"a container or a filter forbids it, or another supervisor is there; {_LISTEN}",
        )
    # A successful execve(2) has closed the other end.
    if failed := channel.recv(_LONGEST):
        os.close(descriptors[0])
        raise NoCommandError(name, int(failed))
    return descriptors[0]


def _become(
    arguments: Sequence[str], machine: Machine, channel: socket.socket, *, sends: bool
) -> None:
    """In the child: never returns. The descriptor of the channel is closed on exec."""
    try:
        # Python ignores these two; a command expects the defaults.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        # A number that the command does not have: the filter lets it pass (`supervision.program`).
        highest = min(_CHANNEL, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1)
        number = fcntl.fcntl(channel, fcntl.F_DUPFD_CLOEXEC, highest)
        channel = socket.socket(fileno=number)
        listener = supervise_self(program(machine, sends=sends, channel=number))
        socket.send_fds(channel, [b"listener"], [listener])
        os.execvp(arguments[0], list(arguments))  # noqa: S606 - the user's own command, no shell
    except OSError as error:
        os.write(channel.fileno(), str(error.errno).encode())
    finally:
        os._exit(126)
