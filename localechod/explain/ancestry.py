"""The ancestors of a client, and which of them has to be started anew to get a group.

A process inherits its groups. So a group that was given to an account reaches a process only if
the process that read the account database for it does so again: a login, a service manager, or
the server of a terminal multiplexer in a new login.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from localechod.explain import shell, units
from localechod.explain.remedy import Action
from localechod.host.procfs import parse_status
from localechod.localsocket.peer import command

_LONGEST = 100
_LOGINS = frozenset(
    ("sshd", "sshd-session", "login", "su", "sudo", "runuser", "doas", "lightdm", "sddm-helper")
) | {"gdm-session-wor", "greetd", "agetty"}
_STARTERS = _LOGINS | {"cron", "crond", "atd"}
_MULTIPLEXERS = frozenset(("tmux: server", "screen", "SCREEN", "zellij", "mosh-server"))


@dataclass(frozen=True, slots=True)
class Relative:
    """The client or one of its ancestors.

    Attributes:
        command: its name, escaped.
        uid: its effective uid.
        groups: its gid and supplementary groups.
        unit: its systemd unit, or "".
        manager: it runs below the systemd of a user (user@UID.service).
    """

    pid: int
    command: str
    uid: int
    groups: frozenset[int]
    unit: str
    manager: bool = False

    @property
    def shown(self) -> str:
        """Its name and pid."""
        return f"{self.command or 'process'} ({self.pid})"


def of_process(pid: int) -> tuple[Relative, ...]:
    """Read the client, and then its ancestors, up to the first that cannot be read."""
    found: list[Relative] = []
    while pid and len(found) < _LONGEST:
        try:
            text = (Path("/proc") / str(pid) / "status").read_bytes()
            cgroup = (Path("/proc") / str(pid) / "cgroup").read_bytes()
        except OSError:  # it has ended, or is hidden
            break
        fields = parse_status(text.decode("utf-8", "replace"))
        gids = [fields["Gid"].split()[1], *fields["Groups"].split()]
        found.append(
            Relative(
                pid,
                command(pid),
                int(fields["Uid"].split()[1]),
                frozenset(map(int, gids)),
                units.parse_cgroup(cgroup.decode("utf-8", "replace")),
                manager=b"/user@" in cgroup,
            )
        )
        pid = int(fields["PPid"])
    return tuple(found)


def is_service(family: tuple[Relative, ...]) -> bool:
    """Whether the client belongs to a service of the system, which a restart starts anew."""
    if not family or family[0].manager or not family[0].unit.endswith(".service"):
        return False
    # Without pam_systemd, logins are in the cgroup of the daemon that made them.
    return not any(each.command in _STARTERS for each in family)


def renewal(family: tuple[Relative, ...], gid: int, name: str) -> Action:
    """Return how the client gets a group that the account database gives it already.

    Args:
        family: the client and its ancestors; empty for a user.
        gid: the group that it lacks.
        name: the name of that group, escaped.
    """
    if not family:
        return Action("log in again", renews=True)
    if is_service(family):
        unit = family[0].unit
        return Action(f"restart {unit}", f"systemctl restart {shell.word(unit)}", renews=True)
    lowest, above = _lowest(family, gid)
    return Action(_restart(lowest, above, gid, name), renews=True)


def _restart(lowest: Relative, above: Relative | None, gid: int, name: str) -> str:
    if lowest.command == "systemd" and lowest.manager:
        return (
            f"restart {lowest.shown}, the user's service manager, which lacks group {name}: "
            f"systemctl restart user@{lowest.uid}.service, which ends all that it runs"
        )
    if lowest.command in _MULTIPLEXERS:
        return (
            f"log in again, and restart {lowest.shown} from there, because its terminals have its "
            f"groups; newgrp {name} starts a shell that has the group"
        )
    if above is not None and gid in above.groups and above.uid == lowest.uid:
        return f"restart {lowest.shown}: {above.shown}, its parent, has group {name}"
    if above is not None and above.command in _LOGINS:
        return (
            f"log in again, because {above.shown} started {lowest.shown} without group {name}; "
            f"newgrp {name} starts a shell that has it"
        )
    return f"restart {lowest.shown} from a new login, because it lacks group {name}"


def _lowest(family: tuple[Relative, ...], gid: int) -> tuple[Relative, Relative | None]:
    """Return the process that has to be started anew, and its parent."""
    client = family[0]
    for lowest, above in pairwise(family):
        # A service manager adopts orphans of a session, which inherited nothing from it.
        adopted = above.command == "systemd" and above.manager and not lowest.manager
        if gid in above.groups or above.uid != client.uid or adopted:
            return lowest, above
    return family[-1], None
