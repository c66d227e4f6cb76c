"""The sandbox of an experiment: a private directory, processes, and their transcript."""

import errno
import os
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from localechod.accounts import find_user, user_name
from localechod.lab import programs
from localechod.lab.process import TIMEOUT, Process, ProcessSpec

Fact = str | int | bool
Facts = Mapping[str, Fact]

LAB = "$LAB"
"""Replaces the path of the sandbox's directory in transcripts."""

STREAM, DATA, CLIENT = "unixstream.sock", "unixdata.sock", "client.sock"
"""Names of sockets in the directory: the stream and datagram servers', the datagram client's."""

# Not TMPDIR: its path may be too long for a socket, or inaccessible to another user.
_ROOT = "/tmp"  # noqa: S108 - a private directory is made in it


# Two names share the number 95 (ENOTSUP). The manual pages of sockets use EOPNOTSUPP.
_NAMES = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP"}


class SkippedError(Exception):
    """The experiment is impossible here; the argument is a field of `catalog.Words`: the reason."""


class Sandbox:
    """A private directory and the processes in it; a context manager that removes both."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="localechod-lab-", dir=_ROOT))
        self._shown: list[tuple[str, list[str]]] = []
        self._processes: list[Process] = []
        # Another user may enter the directory, but not list it.
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
        """All commands and their output, with $LAB for the directory."""
        lines = [
            line for command, shown in self._shown for line in (*filter(None, [command]), *shown)
        ]
        return [line.replace(str(self.directory), LAB) for line in lines]

    def path(self, name: str) -> str:
        """Return the absolute path of a name in the directory."""
        return str(self.directory / name)

    @property
    def other_user(self) -> tuple[int, int] | None:
        """The uid and gid of nobody if this process is root; None if it is an ordinary user.

        Raises:
            SkippedError: this machine has no user nobody.
        """
        if os.geteuid() != 0:
            return None
        found = find_user("nobody")
        if found is None:
            raise SkippedError("nobody")
        return found.pw_uid, found.pw_gid

    def program(self, name: str, *paths: str, ids: tuple[int, int] | None = None) -> Process:
        """Start one of the lab's programs; its arguments are names in the directory."""
        absolute = [self.path(each) for each in paths]
        main = programs.PROGRAMS[name][0]
        heading = _prompted(" ".join((name, *absolute)), ids)
        return self._start(
            ProcessSpec(name, str(self.directory), ids), lambda: main(*absolute), heading
        )

    def script(self, main: Callable[[], None], label: str = "") -> Process:
        """Start a process that makes a few system calls and prints each with its result."""
        return self._start(
            ProcessSpec(label or "script", str(self.directory)), main, label and f"{label}:"
        )

    def execute(self, shown: str, command: list[str], environ: Mapping[str, str]) -> Process:
        """Start an executable in the directory; the transcript shows `shown` as its command."""
        spec = ProcessSpec(Path(command[0]).name, str(self.directory))

        def main() -> None:
            os.execve(command[0], command, environ)  # noqa: S606 - no shell, absolute path

        return self._start(spec, main, _prompted(shown))

    def _start(self, spec: ProcessSpec, main: Callable[[], None], heading: str) -> Process:
        process = Process(spec, main)
        self._processes.append(process)
        self._shown.append((heading, process.transcript))
        return process

    def results(self, main: Callable[[], None]) -> list[str]:
        """Run a script until it exits; return the result of each call, or the name of its errno."""
        process = self.script(main)
        process.wait()
        *lines, termination = process.transcript
        if termination == "(exit 0)":
            del process.transcript[-1]
        return [result(line) for line in lines]

    def run(self, *command: str) -> list[str]:
        """Run a command of this machine until it exits; return the lines of its output."""
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
        """Add a line to the transcript."""
        self._shown.append(("", [line]))


def call(shown: str, make: Callable[[], object]) -> str:
    """Make a system call and print it as strace(1) does; return its result or the errno's name.

    Of bytes, the result is their number and their text; of None, it is 0.
    """
    try:
        returned = make()
    except OSError as error:
        name = _NAMES.get(error.errno or 0, str(error.errno))
        programs.show(f"{shown} = -1 {name} ({error.strerror})")
        return name
    if isinstance(returned, bytes):
        text = repr(returned)[1:].replace("'", '"')
        value = f"{len(returned)} {text}" if returned else "0"
    else:
        value = "0" if returned is None else str(returned)
    programs.show(f"{shown} = {value}")
    return value


def result(line: str) -> str:
    """Return the result in a line that `call` printed: the value, or the errno's name."""
    value = line.rpartition(" = ")[2]
    return value.split()[1] if value.startswith("-1 ") else value


def local(kind: int = socket.SOCK_STREAM) -> socket.socket:
    """Return a new local socket whose calls time out when the lab does."""
    sock = socket.socket(socket.AF_UNIX, kind)
    # Not by Python's settimeout, which would make the socket non-blocking.
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(TIMEOUT), 0))
    return sock


def listening(path: str) -> socket.socket:
    """Return a listener at a path, after a line that tells the experiment that clients may come."""
    listener = local()
    listener.bind(path)
    listener.listen()
    programs.show("(listening)")
    return listener


def pause() -> None:
    """Wait until the experiment resumes this process (`Process.resume`)."""
    os.read(0, 1)


def _prompted(command: str, ids: tuple[int, int] | None = None) -> str:
    """Return a command after the prompt of its user: # for root, $ for others."""
    if ids is not None:
        return f"{user_name(ids[0])}$ {command}"
    return f"{'#' if os.geteuid() == 0 else '$'} {command}"
