"""Run a command: its wall-clock time, processor time and peak memory.

ru_maxrss of getrusage(2) is of no use here: a process inherits it, from the large one that starts
it. So the command is traced (ptrace(2)), and stops before it ends; then VmHWM of
proc_pid_status(5) is its own peak.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# linux/ptrace.h
_TRACEME, _CONT, _SETOPTIONS = 0, 7, 0x4200
_TRACEEXIT, _EXITKILL = 0x40, 0x100000
_EVENT_EXIT = signal.SIGTRAP | 6 << 8

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took.

    Attributes:
        wall_clock: seconds.
        processor: seconds, in user and kernel mode.
        memory: KiB of resident memory, at most.
    """

    wall_clock: float
    processor: float
    memory: float


def run(command: Sequence[str]) -> Cost:
    """Run a command without its output.

    Raises:
        OSError: it cannot be started, or not be traced.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: _ptrace(_TRACEME, 0),  # noqa: PLW1509 - this program has no threads
    )
    os.waitpid(process.pid, 0)  # it stops once it executes the command
    _ptrace(_SETOPTIONS, process.pid, _TRACEEXIT | _EXITKILL)
    memory, deliver = 0.0, 0
    while True:
        _ptrace(_CONT, process.pid, deliver)
        _, status, usage = os.wait4(process.pid, 0)
        if not os.WIFSTOPPED(status):
            break
        deliver = 0
        if status >> 8 == _EVENT_EXIT:
            memory = _peak(process.pid)
        elif os.WSTOPSIG(status) != signal.SIGTRAP:
            deliver = os.WSTOPSIG(status)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    return Cost(seconds, usage.ru_utime + usage.ru_stime, memory)


def _peak(pid: int) -> float:
    status = (Path("/proc") / str(pid) / "status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return float(line.split()[1])


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    if _libc.ptrace(request, pid, 0, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
