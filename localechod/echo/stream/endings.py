"""Why connections break, as the counters name it."""

import errno

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
