"""The systemd unit of a process, and the .socket unit that listens at an address."""

import re
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)
_SECONDS = 5.0
_PROPERTIES = "Id,Listen,Triggers,ActiveState"
# systemd.unit(5): a name has no other characters, so it needs no escaping on a terminal. A user may
# name a cgroup of their own anything.
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(?:service|scope|socket|mount|swap)\Z")


@dataclass(frozen=True, slots=True)
class SocketUnit:
    """A .socket unit, which starts another unit at the first connection (systemd.socket(5)).

    Only an active unit has a socket. If another one has the address in its settings, and pid 1
    holds the socket, it is in the file descriptor store of the service.
    """

    name: str
    starts: str
    active: bool


def unit_of(pid: int) -> str:
    """Return the unit of a process; "" where it has none or its cgroup is not readable."""
    return parse_cgroup(cgroup_of(pid))


def cgroup_of(pid: int) -> str:
    """Return the file /proc/PID/cgroup (cgroups(7)); "" where it is not readable."""
    try:
        return (Path("/proc") / str(pid) / "cgroup").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def parse_cgroup(text: str) -> str:
    """Find the innermost unit in a /proc/PID/cgroup file (cgroups(7)); "" where there is none."""
    # Neither splitlines() nor universal newlines: a cgroup's name may have any character that these
    # take for the end of a line, except a newline.
    for line in filter(None, text.split("\n")):
        _, controllers, path = line.split(":", 2)
        # cgroup v2, or the named hierarchy that systemd uses beside the v1 controllers
        if controllers in {"", "name=systemd"}:
            for part in reversed(path.split("/")):
                # systemd prefixes an underscore to a name that would conflict with a file of the
                # cgroup file system.
                if _UNIT.match(part):
                    return part.removeprefix("_")
    return ""


def service_of(pid: int) -> str:
    """Return the service of systemd's system instance that a process is in; "" where it has none.

    Its cgroup has to be the one that systemd has made for that service: the name alone may be that
    of a cgroup which a user has made.
    """
    unit = unit_of(pid)
    if not unit.endswith(".service") or unit.startswith("user@"):  # a user's whole session
        return ""
    group = settings(unit, "ControlGroup").get("ControlGroup", "")
    paths = (line.split(":", 2)[2] for line in cgroup_of(pid).split("\n") if line)
    return unit if group and any(f"{path}/".startswith(f"{group}/") for path in paths) else ""


def socket_unit(*addresses: str) -> SocketUnit | None:
    """Ask systemd which unit listens at one of these addresses ("/path" or "@name").

    Returns:
        The unit; None where there is none, or systemd does not run or does not answer. Templates
        are left out: only their loaded instances have an address.
    """
    if not _SYSTEMD.is_dir():
        return None
    try:
        files = _systemctl("list-unit-files", "--type=socket", "--no-legend", "--plain")
        names = [line.split()[0] for line in files.splitlines() if line.strip()]
        # The pattern matches loaded units only; systemctl needs the names of the others.
        wanted = ["*.socket", *(name for name in names if "@." not in name)]
        listing = _systemctl("show", f"--property={_PROPERTIES}", "--", *wanted)
    except (OSError, subprocess.SubprocessError):
        return None
    return find_socket_unit(listing, addresses)


def settings(unit: str, *names: str) -> dict[str, str]:
    """Ask systemd for settings of a unit, as it shows them (systemctl(1), show).

    Returns:
        Those that have a value; none where systemd does not run, does not answer, or has no such
        unit.
    """
    if not unit or not _SYSTEMD.is_dir():
        return {}
    try:
        shown = _systemctl("show", f"--property={','.join(names)}", "--", unit)
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = (line.partition("=") for line in shown.splitlines())
    return {name: value for name, _, value in lines if value}


def _systemctl(*words: str) -> str:
    done = subprocess.run(
        ["systemctl", *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=_SECONDS,
        errors="replace",
    )
    return done.stdout


def find_socket_unit(listing: str, addresses: Collection[str]) -> SocketUnit | None:
    """Find an address in the output of `systemctl show`: one paragraph for each unit."""
    wanted = re.compile(rf"Listen=(?:{'|'.join(map(re.escape, addresses))}) \(\w+\)")
    for paragraph in listing.split("\n\n"):
        lines = paragraph.splitlines()
        if any(wanted.fullmatch(line) for line in lines):
            values = dict(line.partition("=")[::2] for line in lines)
            active = values.get("ActiveState") == "active"
            return SocketUnit(values.get("Id", ""), values.get("Triggers", ""), active)
    return None
