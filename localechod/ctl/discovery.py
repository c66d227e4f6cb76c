"""Which daemon is meant where nobody has named one, and what is to be said of the choice."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from localechod.host import runtime


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A daemon's place.

    Attributes:
        directory: its runtime directory.
        remark: what a reader should know of the choice; "" where there was none to make.
    """

    directory: Path
    remark: str = ""


def usual() -> Whereabouts:
    """Find the user's own daemon, or the system's where he has none.

    Only who has nothing of his own in his place is led elsewhere: what a daemon of his that has
    crashed left behind shall be told as that. His place is what the daemon's own rule says; where
    he runs one under another environment, as his service manager has it and a shell by su has not,
    it counts if it answers. Root's is the system's.

    Raises:
        LocalechodError: the place by the rule is there and somebody else's: under /tmp anyone could
            have put a directory there.
    """
    own, *others = runtime.own_directories()
    systems = runtime.SYSTEM_DIRECTORY
    if own == systems:
        return Whereabouts(own)
    if os.path.lexists(own):
        runtime.check_private(own)
    besides = ", not the system's" * _in_use(systems)
    if _in_use(own):
        return Whereabouts(own, besides and f"your own localechod, in {own}{besides}")
    for other in others:
        if _answers(other):
            return Whereabouts(other, f"your own localechod, in {other}{besides}")
    if besides:
        return Whereabouts(systems, f"the system's localechod, in {systems}: you run none")
    return Whereabouts(own)


def _in_use(directory: Path) -> bool:
    """Tell whether a daemon, a socket unit, or what is left of one has sockets there."""
    if os.path.lexists(directory / runtime.CATALOG):
        return True
    try:
        return any(entry.suffix == ".sock" for entry in directory.iterdir())
    except OSError:  # it is not there, or not ours to read
        return os.path.lexists(directory / runtime.CONTROL)


def _answers(directory: Path) -> bool:
    """Tell whether a daemon listens there, in a directory that only this user or root can fill."""
    try:
        if runtime.distrust(directory.lstat(), (os.geteuid(), 0))[0]:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            sock.connect(os.fsencode(directory / runtime.CONTROL))
    except BlockingIOError:  # it listens, and is busy
        return True
    except OSError:
        return False
    return True
