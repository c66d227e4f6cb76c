"""How a connection is closed so that its client reads what was sent, and then end of file."""

import fcntl
import socket
import struct
import termios
from contextlib import suppress

_READ_SIZE = 65536
_INT = struct.Struct("i")


def has_unread(fd: int) -> bool:
    """Whether the peer has not read all that was sent, and can still do so.

    SIOCOUTQ (unix(7)) has the same number as TIOCOUTQ. Of a peer that has closed, nothing is left.
    """
    try:
        (unread,) = _INT.unpack(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(_INT.size)))
    except OSError:
        return False
    return bool(unread)


def end(sock: socket.socket) -> None:
    """Have the peer of a connection read end of file; unread bytes would reset it (unix(7))."""
    with suppress(OSError):
        sock.setblocking(False)
        sock.shutdown(socket.SHUT_RDWR)
        while sock.recv(_READ_SIZE):
            pass


def hang_up(sock: socket.socket) -> None:
    """Close a connection that is not served: its client reads end of file, not a reset."""
    end(sock)
    sock.close()
