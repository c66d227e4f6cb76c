"""Child processes in a sandbox: seccomp filters (seccomp(2)), a Landlock domain (landlock(7))."""

import ctypes
import os
import platform
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from localechod.explain.seccomp import CALLS

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}.get(platform.machine())
ALLOW, KILL, ERRNO, TRAP = 0x7FFF0000, 0x80000000, 0x00050000, 0x00030000

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_SCOPE_ABSTRACT = 1

_libc = ctypes.CDLL(None, use_errno=True)

Instructions = Sequence[tuple[int, int, int, int]]


class _Fprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def answering(call: str, action: int, first_argument: int | None = None) -> Instructions:
    """Return a filter that answers one call with an action and allows all others."""
    assert ARCH is not None
    argument = [] if first_argument is None else [(_LOAD, 0, 0, 16), (_EQUAL, 0, 1, first_argument)]
    return [
        (_LOAD, 0, 0, 0),
        (_EQUAL, 0, len(argument) + 1, CALLS[ARCH][call]),
        *argument,
        (_RETURN, 0, 0, action),
        (_RETURN, 0, 0, ALLOW),
    ]


def packed(program: Instructions) -> bytes:
    return b"".join(struct.pack("=HBBI", *each) for each in program)


def install(program: Instructions) -> None:
    """Install a filter in this process, for good."""
    raw = ctypes.create_string_buffer(packed(program))
    described = _Fprog(len(program), ctypes.addressof(raw))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(_libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(described), 0, 0))


def enter_landlock() -> None:
    """Let this process connect to no abstract socket of another one, for good."""
    ruleset = struct.pack("=QQQ", 0, 0, _SCOPE_ABSTRACT)
    descriptor = _libc.syscall(_CREATE_RULESET, ruleset, ctypes.c_size_t(len(ruleset)), 0)
    _check(min(descriptor, 0))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(_libc.syscall(_RESTRICT_SELF, descriptor, 0))


@contextmanager
def process(prepare: Callable[[], None]) -> Iterator[int]:
    """Give the pid of a child that has run the function and waits to be ended."""
    reading, writing = os.pipe()
    waiting, ending = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(ending)
            prepare()
            os.write(writing, b"x")
            os.read(waiting, 1)
        finally:
            os._exit(0)
    os.close(writing)
    os.close(waiting)
    try:
        assert os.read(reading, 1) == b"x", "the child could not be prepared"
        yield child
    finally:
        os.close(ending)
        os.close(reading)
        os.waitpid(child, 0)


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
