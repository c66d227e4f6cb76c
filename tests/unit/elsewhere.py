"""A server whose socket belongs to another network namespace."""

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000  # linux/sched.h


@contextmanager
def far_server(path: Path) -> Iterator[socket.socket]:
    """Serve datagrams by such a socket; takes root."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNET):  # this thread alone, and it ends
            made.append(OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno())))
        else:
            made.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    (sock,) = made
    if isinstance(sock, OSError):
        raise sock
    with sock:
        sock.bind(str(path))
        sock.settimeout(30)
        yield sock
