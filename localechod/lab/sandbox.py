"""Where an experiment takes place: a private directory, its processes, and what they showed."""

import errno
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from localechod.lab import programs
from localechod.lab.process import TIMEOUT, Process, ProcessSpec

Fact = str | int | bool
Facts = Mapping[str, Fact]

LAB = "$LAB"
"""Stands for the experiment's directory in everything that is shown."""

STREAM, DATA, CLIENT = "unixstream.sock", "unixdata.sock", "client.sock"
"""Names in there: of the stream server's socket, the datagram server's, and its client's own."""

# Not TMPDIR: its path may be too long for a socket, or closed to the other user.
_ROOT = "/tmp"  # noqa: S108 - a private directory is made in it


# Of the names that share a number, the one that the manual pages of sockets use.
_NAMES = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP"}


class SkippedError(Exception):
    """This experiment cannot be made here; the argument is the word for why: root, unclear."""


class Sandbox:
    """One experiment's place; to be used as a context, which ends and removes everything."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="localechod-lab-", dir=_ROOT))
        self._shown: list[tuple[str, list[str]]] = []
        self._processes: list[Process] = []
        # Entered by the other user, listed by nobody else.
        self.directory.chmod(0o711)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.close()
        shutil.rmtree(self.directory)

    @property
    def transcript(self) -> list[str]:
        """Every command with what it showed, the directory written as $LAB."""
        lines = [
            line for command, shown in self._shown for line in (*filter(None, [command]), *shown)
        ]
        return [line.replace(str(self.directory), LAB) for line in lines]

    def path(self, name: str) -> str:
        """Return the absolute path of a name in the directory."""
        return str(self.directory / name)

    @property
    def other_user(self) -> tuple[int, int] | None:
        """An ordinary user's ids, for root to let somebody else try; None for who is one already.

        Raises:
            SkippedError: there is no such user on this machine.
        """
        if os.geteuid() != 0:
            return None
        try:
            found = pwd.getpwnam("nobody")
        except KeyError:
            raise SkippedError("nobody") from None
        return found.pw_uid, found.pw_gid

    def program(self, name: str, *paths: str, ids: tuple[int, int] | None = None) -> Process:
        """Start one of the peers in the directory; its paths are names in there."""
        absolute = [self.path(each) for each in paths]
        main = programs.PROGRAMS[name][0]
        heading = _prompted(" ".join((name, *absolute)), ids)
        return self._start(
            ProcessSpec(name, str(self.directory), ids), lambda: main(*absolute), heading
        )

    def script(self, main: Callable[[], None], label: str = "") -> Process:
        """Start a process that makes a few system calls, each shown with its result."""
        return self._start(
            ProcessSpec(label or "script", str(self.directory)), main, label and f"{label}:"
        )

    def execute(self, shown: str, command: list[str], environ: Mapping[str, str]) -> Process:
        """Start a program of this project in the directory."""
        spec = ProcessSpec(Path(command[0]).name, str(self.directory))

        def main() -> None:
            os.execve(command[0], command, environ)  # noqa: S606 - from a list, by its full path

        return self._start(spec, main, _prompted(shown))

    def _start(self, spec: ProcessSpec, main: Callable[[], None], heading: str) -> Process:
        process = Process(spec, main)
        self._processes.append(process)
        self._shown.append((heading, process.transcript))
        return process

    def results(self, main: Callable[[], None]) -> list[str]:
        """Let a process make its calls to the end; return what each line says behind its "=".

        Of a failure that is the errno's name alone.
        """
        process = self.script(main)
        process.wait()
        *lines, termination = process.transcript
        if termination == "(exit 0)":
            del process.transcript[-1]
        return [result(line) for line in lines]

    def run(self, *command: str) -> list[str]:
        """Run a program of this machine to its end; return its lines."""
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
            cwd=self.directory,
        )
        lines = done.stdout.decode("utf-8", "backslashreplace").splitlines()
        self._shown.append((_prompted(" ".join(command)), lines))
        return lines

    def note(self, line: str) -> None:
        """Add a line that no process has shown."""
        self._shown.append(("", [line]))


def call(shown: str, make: Callable[[], object]) -> str:
    """Make a system call and show it as strace(1) does; return its result, for a failure the errno.

    bytes are shown as text with their number, None as 0.
    """
    try:
        got = make()
    except OSError as error:
        name = _NAMES.get(error.errno or 0, str(error.errno))
        programs.show(f"{shown} = -1 {name} ({error.strerror})")
        return name
    if isinstance(got, bytes):
        text = repr(got)[1:].replace("'", '"')
        answer = f"{len(got)} {text}" if got else "0"
    else:
        answer = "0" if got is None else str(got)
    programs.show(f"{shown} = {answer}")
    return answer


def result(line: str) -> str:
    """Return what a line of `call` says behind its "=", of a failure the errno's name alone."""
    value = line.rpartition(" = ")[2]
    return value.split()[1] if value.startswith("-1 ") else value


def local(kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Return a new local socket that waits for nothing longer than the lab does."""
    sock = socket.socket(socket.AF_UNIX, kind)
    # By the kernel and not Python's settimeout: that would make connect non-blocking.
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(TIMEOUT), 0))
    return sock


def pause() -> None:
    """In a process of the sandbox: wait until the experiment says `step`."""
    os.read(0, 1)


def _prompted(command: str, ids: tuple[int, int] | None = None) -> str:
    """Show a command behind the prompt of whoever gives it: root's is #."""
    if ids is not None:
        return f"{pwd.getpwuid(ids[0]).pw_name}$ {command}"
    return f"{'#' if os.geteuid() == 0 else '$'} {command}"
