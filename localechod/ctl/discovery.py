"""Discovery of the daemon that is meant where the user has named none."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from localechod.host import runtime, runtime_directory


@dataclass(frozen=True, slots=True)
class Discovered:
    """The daemon that is meant.

    Attributes:
        directory: its runtime directory.
        remark: the choice that was made, for display; "" where there was no choice.
    """

    directory: Path
    remark: str = ""


def discover() -> Discovered:
    """Find the user's own daemon, or the system's if they have none.

    The user's runtime directory follows from the daemon's own rule; root's is the system's. Sockets
    in it always win, even if nothing listens, so that a crashed daemon is reported as crashed. A
    daemon of the user may also run under another environment: a service manager sets
    XDG_RUNTIME_DIR, a shell by su does not. Those directories count if a daemon listens there.

    Raises:
        LocalechodError: the user's directory exists and belongs to another user; under /tmp anyone
            could have made it.
    """
    own, *others = runtime.own_directories()
    systems = runtime.SYSTEM_DIRECTORY
    if own == systems:
        return Discovered(own)
    if os.path.lexists(own):
        runtime_directory.check_private(own)
    other = ", not the system's" * _in_use(systems)
    if _in_use(own):
        return Discovered(own, other and f"your own localechod, in {own}{other}")
    for directory in others:
        if _listens(directory):
            return Discovered(directory, f"your own localechod, in {directory}{other}")
    if other:
        return Discovered(systems, f"the system's localechod, in {systems}: you run none")
    return Discovered(own)


def _in_use(directory: Path) -> bool:
    """Return whether a daemon or a socket unit has sockets there, or has left some."""
    if os.path.lexists(directory / runtime.CATALOG):
        return True
    try:
        return any(entry.suffix == ".sock" for entry in directory.iterdir())
    except OSError:  # it does not exist, or this user may not read it
        return os.path.lexists(directory / runtime.CONTROL)


def _listens(directory: Path) -> bool:
    """Return whether a daemon listens there, in a directory that only this user or root writes."""
    try:
        if runtime_directory.distrust(directory.lstat(), (os.geteuid(), 0))[0]:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            sock.connect(os.fsencode(directory / runtime.CONTROL))
    except BlockingIOError:  # it listens, and its backlog is full
        return True
    except OSError:
        return False
    return True
