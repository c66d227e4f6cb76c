"""The check for a listener that has the name, while the path does not lead to its file."""

from collections.abc import Callable
from dataclasses import replace

from localechod.accounts import user_name
from localechod.explain import drop_ins, shell
from localechod.explain.check import Check
from localechod.explain.lost import Lost
from localechod.explain.processes import describe
from localechod.explain.remedy import NONE, Action, Remedy, advice
from localechod.explain.units import SocketUnit
from localechod.text import escape

_SHARED = (
    "let both sides have the directory of the socket from one mount: a bind mount or a volume of "
    "the directory, not of the socket"
)
_NO_PROOF = "any user can give a socket this name out of sight of others: see whose process it is"


def check_lost(lost: Lost | None, configured: SocketUnit | None) -> list[Check]:
    """Check whether a listener of this name has another file.

    Args:
        lost: the listener.
        configured: the socket unit that has this path in its settings. If another process has
            taken the name, the remedy is to start the unit.
    """
    if lost is None:
        return []
    who = describe(lost.holder) if lost.holder else f"a process of {_user(lost)}"
    if lost.holder and lost.uid is not None and user_name(lost.uid) != lost.holder.user:
        who += f", whose socket is of {_user(lost)},"
    detail = f"{who} listens under this name, but {_WHERE[lost.place].format(escape(lost.path))}"
    remedy = replace(_REMEDIES[lost.place](lost), caveats=(_NO_PROOF,))
    if configured and not lost.activation:
        remedy = NONE
    return [Check("elsewhere", "problem", detail, remedy=remedy)]


_WHERE = {
    "gone": "its file is not at this path: it was removed, replaced or moved, or bound out of "
    "sight",
    "renamed": "its file was renamed, and is now {}",
    "covered": "its file is on another file system than this directory, so a mount covers it, or "
    "the path had another target when the socket was bound",
    "mount namespace": "in another mount namespace: its file is not visible here",
    "root directory": "in another root directory: its file does not have this path here",
    "unknown": "where its file is cannot be told",
}


def _user(lost: Lost) -> str:
    return "an unknown user" if lost.uid is None else f"user {user_name(lost.uid)}"


def _restart(lost: Lost) -> Remedy:
    """Return a new start of the server, which binds its socket again."""
    unit = lost.activation
    if unit is not None:
        # While its service runs, systemd does not start a socket unit.
        names = " ".join(shell.word(name) for name in (unit.starts, unit.name) if name)
        commands = f"systemctl stop {names} && systemctl start {shell.word(unit.name)}"
        return advice(f"restart {escape(unit.name)}, which binds the socket again", commands)
    if lost.unit:
        text = f"restart {lost.unit}, which binds its socket again"
        return advice(text, f"systemctl restart {shell.word(lost.unit)}")
    who = f"{lost.holder.command or 'process'} ({lost.holder.pid})" if lost.holder else "it"
    return advice(f"restart {who}, if it is the server, so that it binds its socket again")


def _renamed(lost: Lost) -> Remedy:
    other = Remedy((Action(f"connect to {escape(lost.path)}"),))
    return Remedy(_restart(lost).actions, alternative=other)


def _mounts(lost: Lost) -> Remedy:
    """Return what lets both sides see one file."""
    units = [lost.unit] if lost.private_tmp else []
    units += [lost.client] if lost.client else []
    if not units:
        return Remedy((Action(_SHARED),))
    actions = tuple(
        Action(
            f"give {unit} the setting PrivateTmp=no, and restart it", drop_ins.command(unit, [_NO])
        )
        for unit in units
    )
    joins = " or, with PrivateTmp=yes on both, JoinsNamespaceOf=" if len(units) > 1 else ""
    other = Action(f"have the server bind its socket in a directory of /run{joins}")
    return Remedy(actions, alternative=Remedy((other,)))


_NO = "PrivateTmp=no"


def _as_root(_: Lost) -> Remedy:
    return Remedy((Action("find out what it is: localechoctl sockets, as root"),))


_REMEDIES: dict[str, Callable[[Lost], Remedy]] = {
    "gone": _restart,
    "renamed": _renamed,
    "covered": _restart,
    "mount namespace": _mounts,
    "root directory": lambda _: Remedy((Action(_SHARED),)),
    "unknown": _as_root,
}
