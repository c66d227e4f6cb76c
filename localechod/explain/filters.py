"""The seccomp filters of another process, read by ptrace(2). The process stops for a moment."""

import ctypes
import errno
import os
import struct
import time
from typing import Protocol

from localechod.errors import LocalechodError, NotPermittedError
from localechod.explain.bpf import INSTRUCTION_BYTES, Program, parse_program

# linux/ptrace.h
_DETACH, _SEIZE, _INTERRUPT = 17, 0x4206, 0x4207
_GET_FILTER, _GET_SYSCALL_INFO = 0x420C, 0x420E
_EVENT_STOP = 128
_INFO = struct.Struct("=B3xI")  # struct ptrace_syscall_info begins so: op, arch

_WALL = 0x40000000  # waitpid(2): whatever kind of thread
_PATIENCE, _PAUSE = 1.0, 0.001  # seconds


class _Ptrace(Protocol):
    """ptrace(2) of one process; raises OSError."""

    def __call__(self, request: int, address: int = 0, data: object = None, /) -> int: ...


def read_filters(pid: int) -> tuple[tuple[Program, ...], int]:
    """Return the filters of a process's first thread, and its architecture (AUDIT_ARCH_*).

    The kernel gives them only to a process with CAP_SYS_ADMIN that has no filter itself.

    Raises:
        NotPermittedError: we are not root, or have a filter ourselves.
        LocalechodError: the process has ended, does not stop within a second, is traced by
            another one (a debugger, strace), or has a filter that the kernel cannot show.
    """
    ptrace = _ptrace_of(pid)
    try:
        ptrace(_SEIZE)
        # Where we end without a detach, the kernel detaches (ptrace(2), PTRACE_SEIZE).
        ptrace(_INTERRUPT)
        pending = _wait_for_stop(pid)
        try:
            return _filters(ptrace), _architecture(ptrace)
        finally:
            ptrace(_DETACH, 0, pending)
    except OSError as error:
        cause = f"reading the filters of process {pid} failed: {error.strerror} ({error.errno})"
        if error.errno in {errno.EPERM, errno.EACCES}:
            raise NotPermittedError(
                cause, "run as root, outside of any sandbox; end strace or a debugger"
            ) from None
        raise LocalechodError(cause, "leave out --filters") from None


def _ptrace_of(pid: int) -> _Ptrace:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long

    def call(request: int, address: int = 0, data: object = None, /) -> int:
        returned = int(libc.ptrace(request, pid, address, data))
        if returned < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return returned

    return call


def _wait_for_stop(pid: int) -> int:
    """Wait until the process has stopped; return the signal that stopped it instead of us, or 0.

    Raises:
        OSError: it has ended, or sleeps in the kernel where nothing stops it.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, _WALL | os.WNOHANG)
        if not found:
            time.sleep(_PAUSE)
            continue
        if not os.WIFSTOPPED(status):
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        return 0 if status >> 16 == _EVENT_STOP else os.WSTOPSIG(status)
    raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _filters(ptrace: _Ptrace) -> tuple[Program, ...]:
    found: list[Program] = []
    while True:
        try:
            length = ptrace(_GET_FILTER, len(found))
        except OSError as error:
            # ENOENT: no more of them; EINVAL: no filter at all (strict mode has none)
            if error.errno in {errno.ENOENT, errno.EINVAL}:
                return tuple(found)
            raise
        raw = ctypes.create_string_buffer(length * INSTRUCTION_BYTES)
        ptrace(_GET_FILTER, len(found), ctypes.addressof(raw))
        found.append(parse_program(raw.raw))


def _architecture(ptrace: _Ptrace) -> int:
    raw = ctypes.create_string_buffer(_INFO.size)
    ptrace(_GET_SYSCALL_INFO, _INFO.size, ctypes.addressof(raw))
    return int(_INFO.unpack(raw.raw)[1])
