"""The unit's pending job in systemd, which tells a stop from a restart.

Both arrive as SIGTERM. An unprivileged process may ask systemd for the unit's job.
"""

import logging
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localechod.text import printable

_log = logging.getLogger("localechod.host.jobs")
_LIST_JOBS = ("systemctl", "list-jobs", "--full", "--plain", "--no-legend", "--no-pager")
_SECONDS = 2.0
# The system's unit that holds all units of a user's own manager; user@.service(5).
_USERS_MANAGER = re.compile(r"/user@\d+\.service/")


@dataclass(frozen=True, slots=True)
class Unit:
    """A service, and the manager that runs it.

    Attributes:
        name: such as "localechod.service"; "" for no unit.
        users: a user's own manager runs it (systemctl --user), not the system's.
    """

    name: str = ""
    users: bool = False


def pending(environ: Mapping[str, str] = os.environ) -> str:
    """Return the type of this unit's job ("restart", "stop", ...), "" where none is known.

    systemctl is asked, not the bus itself: a library for one question would be one dependency more,
    and systemctl exists wherever systemd does. The event loop waits for the answer, which takes
    some milliseconds, once, at its end; requests that come meanwhile are served after it.

    A user's manager answers on a socket of its own below XDG_RUNTIME_DIR, which it has set for us;
    no message bus has to run.
    """
    unit = own_unit()
    if not unit.name or "INVOCATION_ID" not in environ:
        return ""
    command = [*_LIST_JOBS, *["--user"] * unit.users]
    try:
        asked = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except OSError as error:
        _log.warning("systemctl cannot be run: %s", error.strerror)
        return ""
    except subprocess.TimeoutExpired:
        _log.warning("systemctl list-jobs has not answered in %g seconds", _SECONDS)
        return ""
    if asked.returncode:
        said = printable(asked.stderr.decode(errors="replace").strip())
        _log.warning("systemctl list-jobs ended with %d: %s", asked.returncode, said)
    return job_type(asked.stdout.decode(errors="replace"), unit.name)


def job_type(listing: str, unit: str) -> str:
    """Find a unit's job in the output of `systemctl list-jobs`: JOB UNIT TYPE STATE."""
    for line in listing.splitlines():
        columns = line.split()
        if len(columns) == 4 and columns[1] == unit:
            return columns[2]
    return ""


def own_unit(cgroup: Path = Path("/proc/self/cgroup")) -> Unit:
    """Return the service that this process belongs to; without a name, if to none."""
    try:
        lines = cgroup.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return Unit()
    for line in lines:
        hierarchy, controllers, path = line.split(":", 2)
        if (hierarchy == "0" or controllers == "name=systemd") and path.endswith(".service"):
            return Unit(path.rpartition("/")[2], users=bool(_USERS_MANAGER.search(path)))
    return Unit()
