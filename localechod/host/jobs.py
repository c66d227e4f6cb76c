"""What systemd is about to do with this service: the difference between a stop and a restart.

Both arrive as SIGTERM. The job that waits for the unit tells them apart, and an unprivileged
process may ask for it.
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
# Below this unit of the system's lives all that a user's own manager runs; user@.service(5).
_USERS_MANAGER = re.compile(r"/user@\d+\.service/")


@dataclass(frozen=True, slots=True)
class Unit:
    """A service, and whose manager it belongs to.

    Attributes:
        name: such as "localechod.service"; "" for no unit.
        users: it is a user's own manager that runs it (systemctl --user), not the system's.
    """

    name: str = ""
    users: bool = False


def pending(environ: Mapping[str, str] = os.environ) -> str:
    """Return the type of this unit's job ("restart", "stop", ...), "" where none is known.

    It asks systemctl, and not the bus itself: a library for one question would be a dependency for
    ever, and systemctl is there wherever systemd is. The loop waits for the answer, which takes
    some milliseconds, at the end of its life; what comes meanwhile is served after it.

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
    """Return the service that this process belongs to, if it does to one."""
    try:
        lines = cgroup.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return Unit()
    for line in lines:
        hierarchy, controllers, path = line.split(":", 2)
        if (hierarchy == "0" or controllers == "name=systemd") and path.endswith(".service"):
            return Unit(path.rpartition("/")[2], users=bool(_USERS_MANAGER.search(path)))
    return Unit()
