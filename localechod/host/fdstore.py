"""systemd's descriptor store, and the descriptors that systemd passes to this process.

sd_listen_fds(3) passes descriptors, sd_pid_notify_with_fds(3) stores them. The next start gets both
in the same way: numbers from 3 on, each with a name. Their order is undefined across units; only
the name counts.
"""

import fcntl
import os
from collections.abc import Mapping, MutableMapping

from localechod.errors import UsageError
from localechod.host.systemd import Notifier

_FIRST = 3
# FileDescriptorStoreMax= of the unit. From version 254 on systemd says it itself.
CAPACITY = 512
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def inherit(environ: MutableMapping[str, str] = os.environ) -> dict[str, list[int]]:
    """Take the descriptors that were passed to this process, by name; once, before any fork.

    The variables are removed from the environment, so that no child process uses them, and the
    descriptors get close-on-exec. Descriptors without a name are under "".

    Raises:
        UsageError: one of them is not open; then none of the variables can be trusted.
    """
    passed = descriptors(environ, os.getpid())
    names = environ.get("LISTEN_FDNAMES", "").split(":") if passed else []
    for variable in _VARIABLES:
        environ.pop(variable, None)
    named: dict[str, list[int]] = {}
    for place, descriptor in enumerate(passed):
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        except OSError:
            raise UsageError(
                f"LISTEN_FDS={len(passed)}: descriptor {descriptor} is not open",
                "it counts the descriptors that are passed, from 3 on; sd_listen_fds(3)",
            ) from None
        name = names[place] if place < len(names) else ""
        # "unknown" and "stored" are systemd's names for a descriptor without one.
        named.setdefault("" if name in {"unknown", "stored"} else name, []).append(descriptor)
    return named


def descriptors(environ: Mapping[str, str], pid: int) -> range:
    """Return the descriptors that systemd passed to this process, often none."""
    count = environ.get("LISTEN_FDS", "")
    ours = environ.get("LISTEN_PID") == str(pid)
    valid = ours and count.isascii() and count.isdigit()
    return range(_FIRST, _FIRST + int(count)) if valid else range(0)


class Store:
    """The service manager's descriptor store; without a manager it keeps nothing.

    The manager has a duplicate of what is stored. So a stored connection has to be shut down and
    dropped from the store before it is closed, or the duplicate keeps its peer waiting.
    """

    def __init__(self, notifier: Notifier, environ: Mapping[str, str] = os.environ) -> None:
        self._notifier = notifier
        self._environ = environ

    @property
    def capacity(self) -> int:
        """The number of descriptors that it holds; 0 without a manager."""
        said = self._environ.get("FDSTORE", "")
        if not self._notifier.supervised:
            return 0
        return int(said) if said.isascii() and said.isdigit() else CAPACITY

    def keep(self, name: str, descriptor: int) -> None:
        """Store a duplicate under a name, which must not hold a colon; systemd.service(5)."""
        # FDPOLL=0: systemd would otherwise drop it on EPOLLHUP, which a shut down stream shows.
        self._notifier.store("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", descriptors=[descriptor])

    @property
    def is_waiting(self) -> bool:
        """Whether messages wait because the manager's queue is full."""
        return self._notifier.is_waiting

    def drop(self, name: str) -> None:
        """Remove all descriptors of that name from the store."""
        self._notifier.store("FDSTOREREMOVE=1", f"FDNAME={name}")

    def barrier(self, seconds: float) -> bool:
        """Wait until the manager has read all earlier messages; False: not in so many seconds.

        Without it, a process that ends right after it has stored a descriptor may be gone before
        its message is read; see sd_notify_barrier(3).
        """
        return self._notifier.barrier(seconds)
