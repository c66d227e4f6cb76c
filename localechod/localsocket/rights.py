"""Refusal of passed descriptors (SCM_RIGHTS, unix(7)).

Even a descriptor that is not kept has to be released. The kernel does that in the process that
reads the message, before its system call returns. To release a TCP socket with SO_LINGER takes as
many seconds as its sender likes; a packet socket, an inotify instance or a large memfd takes
milliseconds. So a sender of descriptors could stop their reader.
"""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# asm-generic/socket.h, since Linux 6.16; not in Python's socket module.
_SO_PASSRIGHTS = 83

# Seconds from one signal to the next: an idle process is woken up as often.
_PERIOD = 0.05


def refuse_descriptors(sock: socket.socket) -> None:
    """Have the kernel refuse messages with descriptors to this socket: sendmsg(2) fails with EPERM.

    A connection has the option of its listener, as it was at connect(2). Before Linux 6.16 this
    does nothing.
    """
    with suppress(OSError):  # ENOPROTOOPT
        sock.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)


@contextmanager
def releases_interrupted(*, always: bool) -> Iterator[None]:
    """Before Linux 6.16, end each wait of the kernel for SO_LINGER after _PERIOD.

    A signal ends such a wait. SIGALRM is used for nothing else; call this in the main thread.

    Args:
        always: do so on any kernel, as clients may have connected before `refuse_descriptors`.
    """
    if not always and _can_refuse():
        yield
        return
    signal.signal(signal.SIGALRM, lambda _number, _frame: None)
    signal.setitimer(signal.ITIMER_REAL, _PERIOD, _PERIOD)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _can_refuse() -> bool:
    with socket.socket(socket.AF_UNIX) as sock, suppress(OSError):
        sock.getsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS)
        return True
    return False
