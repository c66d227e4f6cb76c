"""A child process that stops at each system call, by ptrace(2)."""

import ctypes
import os
import platform
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_TRACEME, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
_TRACESYSGOOD, _EXITKILL = 1, 0x100000
_STOPPED_BY_CALL = signal.SIGTRAP | 0x80

# struct ptrace_syscall_info at a call's entry: op, arch, instruction, stack, number, arguments.
_INFO = struct.Struct("=B3xIQQ7Q")
_ENTRY = 1

# Numbers of system calls; asm/unistd.h.
_X86_64 = {0: "read", 1: "write", 44: "sendto", 45: "recvfrom", 47: "recvmsg", 48: "shutdown"}
_GENERIC = {63: "read", 64: "write", 206: "sendto", 207: "recvfrom", 212: "recvmsg"}
CALLS = {"x86_64": _X86_64, "aarch64": _GENERIC}.get(platform.machine(), {})

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


@dataclass(frozen=True, slots=True)
class Call:
    """A system call: the name of a call in CALLS, or "", and its arguments."""

    name: str
    arguments: tuple[int, ...]


def _ptrace(request: int, pid: int, address: int = 0, data: int | None = None) -> None:
    if _libc.ptrace(request, pid, address, data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def is_permitted() -> bool:
    """Whether a process may trace its child here, and CALLS is known."""
    pid = os.fork()
    if not pid:
        os._exit(_libc.ptrace(_TRACEME, 0, None, None) < 0)
    return bool(CALLS) and os.waitpid(pid, 0)[1] == 0


class Child:
    """A forked process that runs a function, from one system call to the next.

    Raises:
        OSError: tracing is not permitted.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self.pid = os.fork()
        if not self.pid:
            try:
                _ptrace(_TRACEME, 0)
                os.kill(os.getpid(), signal.SIGSTOP)
                function()
            finally:
                os._exit(1)
        os.waitpid(self.pid, 0)
        _ptrace(_SETOPTIONS, self.pid, 0, _TRACESYSGOOD | _EXITKILL)
        self._call: Call | None = None

    def run(self) -> tuple[Call, bool] | None:
        """Run to the next stop: return the call and whether this is its entry; None at the end."""
        _ptrace(_SYSCALL, self.pid)
        _pid, status = os.waitpid(self.pid, 0)
        if not os.WIFSTOPPED(status):
            self.pid = 0
            return None
        assert os.WSTOPSIG(status) == _STOPPED_BY_CALL, f"stopped by {os.WSTOPSIG(status)}"
        buffer = ctypes.create_string_buffer(_INFO.size)
        _ptrace(_GET_SYSCALL_INFO, self.pid, _INFO.size, ctypes.addressof(buffer))
        op, _arch, _instruction, _stack, number, *arguments = _INFO.unpack(buffer.raw)
        if op == _ENTRY:
            self._call = Call(CALLS.get(number, ""), tuple(arguments))
        assert self._call is not None
        return self._call, op == _ENTRY

    def read_memory(self, address: int, size: int) -> bytes:
        with Path(f"/proc/{self.pid}/mem").open("rb", buffering=0) as memory:
            return os.pread(memory.fileno(), size, address)

    def kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
