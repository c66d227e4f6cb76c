"""The sandbox of a client: its seccomp filters, and the Landlock domain that it may be in.

The filters of another process are read on demand only, because that stops it for a moment. Our own
are tried out. Nothing shows from outside whether a process is in a Landlock domain.
"""

import ctypes
import errno
import os
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from localechod.errors import UsageError
from localechod.explain import units
from localechod.explain.filters import read_filters
from localechod.explain.seccomp import ALLOWED, KILLED, UNKNOWN, Answer, client_calls
from localechod.host.procfs import parse_status

_STRICT, _FILTER = "1", "2"  # proc_pid_status(5), Seccomp

# landlock(7). From these versions of its interface on, Landlock can refuse a connect.
ABSTRACT_NAMES, PATHS = 6, 9
_CREATE_RULESET, _VERSION = 444, 1  # the same number on all architectures

# systemd.exec(5): the settings that systemd makes filters of.
FAMILIES, SYSTEM_CALLS = "RestrictAddressFamilies", "SystemCallFilter"

_NUMBER = struct.Struct("i")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What is known of a client's sandbox.

    Attributes:
        calls: what happens to each of socket, connect, sendto and sendmsg; empty where no filter
            refuses anything, or the filters were not read.
        unread: the number of filters that were not read.
        landlock: the version of the kernel's Landlock, where the client may be in a domain of it;
            0 where it cannot be.
        unit: the client's service, if a filter refuses something; else "".
        settings: which of FAMILIES and SYSTEM_CALLS that service has.
    """

    calls: Mapping[str, Answer] = field(default_factory=dict)
    unread: int = 0
    landlock: int = 0
    unit: str = ""
    settings: frozenset[str] = frozenset()


def inspect(pid: int | None, type_: int | None, *, read: bool) -> Sandbox:
    """Return the sandbox of a process; None: of a new login, which has none.

    Args:
        pid: the process. Our own is not inspected, but tried out in a child process.
        type_: the client's socket type, socket.SOCK_*; None: a stream.
        read: read the filters of another process, which stops it for a moment.

    Raises:
        UsageError: there is no such process.
        NotPermittedError: we are not root, or have a filter ourselves.
        LocalechodError: the process cannot be stopped, or is traced already.
    """
    if pid is None:
        return Sandbox()
    try:
        text = (Path("/proc") / str(pid) / "status").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        raise UsageError(f"no such process: {pid}", "see ps -e") from None
    status = parse_status(text)
    mode = status.get("Seccomp", "0").strip()
    # A process with CAP_SYS_ADMIN can enter a domain without it, as managers of sandboxes might.
    confined = status.get("NoNewPrivs", "0").strip() == "1"
    landlock = landlock_version() if confined else 0
    if mode == _FILTER and pid != os.getpid() and not read:
        return Sandbox(unread=int(status.get("Seccomp_filters", "1")), landlock=landlock)
    calls = _calls(pid, type_ or socket.SOCK_STREAM, mode)
    if all(each.kind == "allowed" for each in calls.values()):
        return Sandbox(calls, landlock=landlock)
    unit = units.unit_of(pid)
    found = units.settings(unit, FAMILIES, SYSTEM_CALLS) if unit.endswith(".service") else {}
    return Sandbox(calls, 0, landlock, unit, frozenset(found))


def _calls(pid: int, type_: int, mode: str) -> dict[str, Answer]:
    if mode == _STRICT:
        return dict.fromkeys(("socket", "connect", "sendto", "sendmsg"), KILLED)
    if mode != _FILTER:
        return {}
    if pid == os.getpid():
        return try_calls(type_)
    programs, arch = read_filters(pid)
    return client_calls(programs, arch, type_)


def landlock_version() -> int:
    """Return the version of Landlock that the kernel has and uses; 0: none (landlock(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)
    return max(int(version), 0)


def try_calls(type_: int) -> dict[str, Answer]:
    """Make a client's calls in child processes, with a descriptor that is not open.

    The kernel answers EBADF where no filter forbids the call, and nothing else happens.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    calls: dict[str, Callable[[], int]] = {
        "socket": lambda: int(libc.socket(socket.AF_UNIX, type_ | socket.SOCK_CLOEXEC, 0)),
        "connect": lambda: int(libc.connect(-1, None, 0)),
        "sendto": lambda: int(libc.sendto(-1, None, ctypes.c_size_t(0), 0, None, 0)),
        "sendmsg": lambda: int(libc.sendmsg(-1, None, 0)),
    }
    return {name: _tried(call) for name, call in calls.items()}


def _tried(call: Callable[[], int]) -> Answer:
    try:
        reading, writing = os.pipe()
        child = os.fork()
    except OSError:  # a filter may forbid these too
        return UNKNOWN
    if not child:
        try:
            number = ctypes.get_errno() if call() < 0 else 0
            os.write(writing, _NUMBER.pack(number))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        raw = pipe.read()
    _pid, status = os.waitpid(child, 0)
    if len(raw) != _NUMBER.size:
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS
        return KILLED if killed else UNKNOWN
    (number,) = _NUMBER.unpack(raw)
    return ALLOWED if number in {0, errno.EBADF} else Answer("fails", number)
