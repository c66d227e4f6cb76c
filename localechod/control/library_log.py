"""The log lines of the libraries below the control socket: peers can cause all of them.

Only the control socket uses asyncio's transports, so asyncio's lines come here too.
"""

import logging

from localechod.control.caller import CREDENTIALS
from localechod.echo.peer_log import NOBODY, PeerLog, Topic

# At level "info" grpclib logs every client that closes early, as `localechoctl wait` does; at
# "debug" hpack logs every header.
_LIBRARIES = ("asyncio", "grpclib", "h2", "hpack")
_LEVEL = logging.WARNING


class LibraryLog(logging.Handler):
    """Passes the records of these libraries on to a PeerLog, and to nothing else."""

    def __init__(self, peer_log: PeerLog) -> None:
        super().__init__(_LEVEL)
        self._peer_log = peer_log

    def attach(self) -> None:
        """Handle their records from now on."""
        for name in _LIBRARIES:
            library = logging.getLogger(name)
            library.addHandler(self)
            library.setLevel(_LEVEL)
            library.propagate = False

    def detach(self) -> None:
        """Let logging handle their records as before."""
        for name in _LIBRARIES:
            library = logging.getLogger(name)
            library.removeHandler(self)
            library.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on; a call's user is that of its context."""
        caller = CREDENTIALS.get(None)
        self._peer_log.write(
            Topic(name=record.name, level=record.levelno, prefix=f"{record.name}: "),
            NOBODY if caller is None else caller.uid,
            record.getMessage,
            error=record.exc_info[1] if record.exc_info else None,
        )
