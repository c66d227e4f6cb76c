"""System calls of a command that this process answers: seccomp_unotify(2), pidfd_getfd(2).

A filter on the command, and on all processes that it starts, stops them at connect(2) until this
process has answered. The answer is a result, or that the kernel goes on with the call. So the
command needs no wrapper library, and a static program is no exception. Unlike a mount namespace,
a filter needs no user namespace, which many systems forbid, and knows abstract names as well.
"""

import ctypes
import errno
import fcntl
import os
import platform
import socket
import struct
from typing import NamedTuple

# linux/seccomp.h, linux/prctl.h
_SET_MODE_FILTER = 1
_NEW_LISTENER, _WAIT_KILLABLE = 1 << 3, 1 << 5
_ALLOW, _USER_NOTIF = 0x7FFF0000, 0x7FC00000
_RECV, _SEND, _ID_VALID, _ADDFD = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103
_SETFD = 1
_CONTINUE = 1
_PR_SET_NO_NEW_PRIVS = 38
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # struct seccomp_notif, with struct seccomp_data in it
_RESPONSE = struct.Struct("=QqiI")  # struct seccomp_notif_resp
_NEW_DESCRIPTOR = struct.Struct("=QIIII")  # struct seccomp_notif_addfd

# linux/bpf_common.h, and offsets in struct seccomp_data
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_INSTRUCTION = struct.Struct("=HBBI")
_NR, _ARCH = 0, 4
_LOW, _HIGH = 16, 20  # of the first argument; each has 8 bytes

_GETFD = 438  # the same on every architecture


class Machine(NamedTuple):
    """AUDIT_ARCH_* of linux/audit.h, and the numbers of system calls in asm/unistd.h."""

    audit: int
    seccomp: int
    connect: int
    sendto: int
    sendmsg: int
    sendmmsg: int


_MACHINES = {
    "x86_64": Machine(0xC000003E, 317, 42, 44, 46, 307),
    "aarch64": Machine(0xC00000B7, 277, 203, 206, 211, 269),
    "riscv64": Machine(0xC00000F3, 277, 203, 206, 211, 269),
}
MACHINE = _MACHINES.get(platform.machine())

_libc = ctypes.CDLL(None, use_errno=True)


class Call(NamedTuple):
    """One system call that waits for its answer.

    Attributes:
        id: the kernel's number of this call.
        tid: the calling thread; 0 where it is in a pid namespace that is not ours.
        nr: the number of the system call.
        args: its six arguments.
    """

    id: int
    tid: int
    nr: int
    args: tuple[int, ...]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def program(machine: Machine, *, sends: bool, channel: int) -> bytes:
    """Return a filter that reports connect, and with `sends` the sends that name an address.

    A filter sees no memory, so that sendmsg is reported with and without an address. A call by the
    numbers of another architecture, as a 32-bit program makes them, is allowed unseen.

    Args:
        machine: whose numbers it has.
        sends: the target is a datagram socket.
        channel: a descriptor to which sendmsg is allowed, to pass on the one that reports calls.
    """
    allow, report = _code(_RETURN, _ALLOW), _code(_RETURN, _USER_NOTIF)
    tests = [
        _code(_LOAD, _ARCH),
        _code(_JUMP_EQUAL, machine.audit, 1, 0),
        allow,
        _code(_LOAD, _NR),
        _code(_JUMP_EQUAL, machine.connect, 0, 1),
        report,
    ]
    if sends:
        pointer = 4 * 8  # sendto without an address, a null pointer, is send
        tests += [
            _code(_JUMP_EQUAL, machine.sendmmsg, 0, 1),
            report,
            _code(_JUMP_EQUAL, machine.sendto, 0, 5),
            _code(_LOAD, _LOW + pointer),
            _code(_JUMP_EQUAL, 0, 0, 2),
            _code(_LOAD, _HIGH + pointer),
            _code(_JUMP_EQUAL, 0, 1, 0),
            report,
            _code(_LOAD, _NR),
            _code(_JUMP_EQUAL, machine.sendmsg, 0, 3),
            _code(_LOAD, _LOW),
            _code(_JUMP_EQUAL, channel, 1, 0),
            report,
        ]
    return b"".join([*tests, allow])


def _code(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return _INSTRUCTION.pack(operation, if_true, if_false, value)


def supervise_self(instructions: bytes) -> int:
    """Put the filter on this process, for good, and return the descriptor that reports its calls.

    An ordinary user gives up all rights that setuid programs have for that (PR_SET_NO_NEW_PRIVS);
    root does not.

    Raises:
        OSError: EBUSY: a filter of this kind is there already; ENOSYS, EINVAL: the kernel is older
            than Linux 5.5, or a sandbox forbids it.
    """
    assert MACHINE is not None  # noqa: S101 - `launch` has refused before
    given = _Program(len(instructions) // _INSTRUCTION.size, instructions)
    if os.geteuid() != 0:
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Where the kernel has it (5.19), only a deadly signal interrupts a call that waits here, so
    # that no connect is made twice.
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):
        found = _libc.syscall(MACHINE.seccomp, _SET_MODE_FILTER, flags, ctypes.byref(given))
        if found >= 0:
            return int(found)
        if ctypes.get_errno() != errno.EINVAL:
            break
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def receive(listener: int) -> Call | None:
    """Return the call that waits, or None if its thread has been killed meanwhile.

    Raises:
        OSError: no process has the filter any more.
    """
    buffer = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _RECV, buffer)
    except FileNotFoundError:
        return None
    id_, tid, _, nr, _, _, *args = _NOTIFICATION.unpack(buffer)
    return Call(id_, tid, nr, tuple(args))


def proceed(listener: int, call: Call) -> None:
    """Have the kernel go on with a call as if there were no filter."""
    _respond(listener, _RESPONSE.pack(call.id, 0, 0, _CONTINUE))


def answer(listener: int, call: Call, result: int) -> bool:
    """Give a call its result, or an errno as a negative number; False if its thread has gone."""
    error = min(result, 0)
    return _respond(listener, _RESPONSE.pack(call.id, max(result, 0), error, 0))


def _respond(listener: int, response: bytes) -> bool:
    try:
        fcntl.ioctl(listener, _SEND, response)
    except FileNotFoundError:
        return False
    return True


def still_waits(listener: int, call: Call) -> bool:
    """Tell whether the thread still waits, so that its number is not another thread's by now."""
    try:
        fcntl.ioctl(listener, _ID_VALID, struct.pack("=Q", call.id))
    except FileNotFoundError:
        return False
    return True


def replace(listener: int, call: Call, ours: int, number: int, *, on_exec: bool) -> None:
    """Put a copy of our descriptor in the place of one of the caller's.

    Args:
        listener: as above.
        call: of the process whose descriptor is replaced.
        ours: what it gets.
        number: of its descriptor, which is closed.
        on_exec: the copy is closed by execve(2).

    Raises:
        OSError: ENOENT: its thread has gone; EMFILE.
    """
    flags = os.O_CLOEXEC if on_exec else 0
    fcntl.ioctl(listener, _ADDFD, _NEW_DESCRIPTOR.pack(call.id, _SETFD, ours, number, flags))


def take(pidfd: int, number: int) -> int:
    """Return a descriptor of our own for another process's descriptor (pidfd_getfd(2)).

    Raises:
        OSError: EBADF: it has no such descriptor; EPERM: it may not be looked into.
    """
    found = int(_libc.syscall(_GETFD, pidfd, number, 0))
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def can_take() -> bool:
    """Tell whether `take` is allowed at all: many containers forbid it, by a filter of theirs."""
    own = os.pidfd_open(os.getpid())
    try:
        os.close(take(own, own))
    except OSError:
        return False
    finally:
        os.close(own)
    return True


def take_socket(pidfd: int, number: int) -> socket.socket | None:
    """Return another process's descriptor if it is a local socket, else None.

    Raises:
        OSError: as for `take`.
    """
    descriptor = take(pidfd, number)
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        return None
    if sock.family != socket.AF_UNIX:
        sock.close()
        return None
    return sock
