"""What seccomp filters answer to the system calls of a client (seccomp(2)). No I/O."""

import signal
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

from localechod.explain.bpf import Known, Program, results

# linux/seccomp.h. Of several filters the lowest action wins, as a signed number.
_ACTION, _DATA = 0xFFFF0000, 0x0000FFFF
_KILL_PROCESS, _KILL_THREAD, _TRAP = 0x80000000, 0x00000000, 0x00030000
_ERRNO, _LOG, _ALLOW = 0x00050000, 0x7FFC0000, 0x7FFF0000

# linux/audit.h, and the numbers of the calls in asm/unistd.h.
_GENERIC = {"socket": 198, "connect": 203, "sendto": 206, "sendmsg": 211}
CALLS = {
    0xC000003E: {"socket": 41, "connect": 42, "sendto": 44, "sendmsg": 46},  # x86-64
    0xC00000B7: _GENERIC,  # aarch64
    0xC00000F3: _GENERIC,  # riscv64
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What happens to a system call.

    Attributes:
        kind: "allowed"; "fails" with an errno; "killed" by a signal; "unknown": it depends on what
            cannot be known here, or another process decides.
        number: the errno of "fails"; of "killed" the signal, negative as in subprocess.
    """

    kind: Literal["allowed", "fails", "killed", "unknown"]
    number: int = 0


ALLOWED, UNKNOWN = Answer("allowed"), Answer("unknown")
KILLED = Answer("killed", -signal.SIGSYS)


def client_calls(programs: Iterable[Program], arch: int, type_: int) -> dict[str, Answer]:
    """Return what the filters of a process do to the calls of a client.

    Args:
        programs: all filters of the process.
        arch: AUDIT_ARCH_* of the process, as linux/audit.h numbers it.
        type_: the client's socket type, socket.SOCK_*.

    Returns:
        The answer for each of socket, connect, sendto and sendmsg; unknown on an architecture
        whose numbers are not known here.
    """
    numbers = CALLS.get(arch)
    programs = tuple(programs)
    if numbers is None:
        return dict.fromkeys(_GENERIC, UNKNOWN)
    flags = (0, socket.SOCK_CLOEXEC, socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    given: dict[str, list[Known]] = {
        "socket": [(socket.AF_UNIX, type_ | flag, 0, None, None, None) for flag in flags],
        "connect": [(None,) * 6],
        "sendto": [(None,) * 6],
        "sendmsg": [(None,) * 6],
    }
    return {
        name: _combined(programs, numbers[name], arch, arguments)
        for name, arguments in given.items()
    }


def _combined(programs: Sequence[Program], nr: int, arch: int, given: Sequence[Known]) -> Answer:
    found: set[Answer] = set()
    for arguments in given:
        returned = [results(program, nr, arch, arguments) for program in programs]
        if any(None in each for each in returned):
            return UNKNOWN
        found |= {_answer(min(each, key=_signed)) for each in product(*map(_known, returned))}
    return found.pop() if len(found) == 1 else UNKNOWN


def _known(returned: frozenset[int | None]) -> list[int]:
    """Return one value for each action and errno, so that their combinations stay few."""
    return sorted({each for each in returned if each is not None})


def _signed(value: int) -> int:
    action = value & _ACTION
    return action - 2**32 if action & 0x80000000 else action


def _answer(value: int) -> Answer:
    action, data = value & _ACTION, value & _DATA
    if action in {_ALLOW, _LOG}:
        return ALLOWED
    if action == _ERRNO and data:
        return Answer("fails", min(data, 4095))  # MAX_ERRNO
    if action in {_KILL_PROCESS, _KILL_THREAD}:
        return KILLED
    # SECCOMP_RET_TRAP: a handler of the process; USER_NOTIF, TRACE: another process; errno 0:
    # the call does nothing and reports success.
    return UNKNOWN
