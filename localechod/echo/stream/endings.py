"""How connections end: why one has broken, and how one is closed that is not served."""

import errno
import socket
from contextlib import suppress

from localechod.echo.reasons import Reason

# Bytes of a read, at most.
READ_SIZE = 65536

_BROKEN = {
    errno.EPIPE: Reason.BROKEN_PIPE,
    errno.ECONNRESET: Reason.CONNECTION_RESET,
    errno.EMSGSIZE: Reason.REPLY_TOO_LONG,
}


def reason(error: OSError) -> str:
    """Return why a connection has broken, as the counters name it."""
    number = error.errno or 0
    return _BROKEN.get(number, errno.errorcode.get(number, "unknown").lower())


def hang_up(sock: socket.socket) -> None:
    """Close a connection that is not served: its client reads end of file, not a reset."""
    with suppress(OSError):
        sock.setblocking(False)
        sock.shutdown(socket.SHUT_RDWR)
        while sock.recv(READ_SIZE):
            pass
    sock.close()
