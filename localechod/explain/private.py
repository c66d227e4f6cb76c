"""Servers that serve one user only: they look at the uid of a client after accept.

For them, a permission that another user lacks is meant so, and to grant it does not help.
"""

import re
import stat
from dataclasses import dataclass

from localechod.explain.facts import Facts
from localechod.text import escape

_TMUX = "tmux server-access -a USER, on a socket that tmux -S makes in a shared directory"
# The advice for another user, by the server's command, which is cut to 15 characters
# (proc_pid_comm(5)). A process may call itself anything: this decides about advice only.
_SERVERS = {
    "ssh-agent": "start an ssh-agent of your own, or forward it (ssh -A)",
    "gpg-agent": "use a gpg-agent of your own",
    "keyboxd": "use GnuPG with a home directory of your own",
    "scdaemon": "use GnuPG with a home directory of your own",
    "dirmngr": "use GnuPG with a home directory of your own",
    "tmux": _TMUX,
    "tmux: server": _TMUX,
    "dbus-daemon": "use a session bus of your own",
    "dbus-broker": "use a session bus of your own",
    "dbus-broker-lau": "use a session bus of your own",
    "gnome-keyring-d": "use a keyring of your own",
}
_PATHS = re.compile(
    rb"/run/user/\d+/|/tmp/ssh-[^/]+/agent\.|/tmp/tmux-\d+/|/\.gnupg/S\.|/\.ssh/agent/"
)


@dataclass(frozen=True, slots=True)
class Owner:
    """The one user whom a server serves.

    Attributes:
        uid: the user.
        server: the server, escaped.
        instead: the advice for another user, as an imperative clause.
    """

    uid: int
    server: str
    instead: str


def owner(facts: Facts) -> Owner | None:
    """Return the user whom the server serves alone; None where that is not known of it.

    The buses and services of the system serve every user; their owner is a user of the system.
    """
    walk, client = facts.walk, facts.question.client
    if walk is None:
        return None
    where = walk.end.path if walk.end else walk.stopped_at
    uids = [step.node.uid for step in walk.steps if _is_private(step.node.mode)]
    if walk.end is not None and _is_private(walk.end.node.mode):
        uids.append(walk.end.node.uid)
    if not uids or uids[-1] == client.uid:
        return None
    for holder in facts.holders:
        if holder.command in _SERVERS:
            shown = f"{holder.command} ({holder.pid})"
            return Owner(uids[-1], shown, _SERVERS[holder.command])
    if _PATHS.search(where):
        known = f"the server of {escape(where)}"
        return Owner(uids[-1], known, "use a server of your own session")
    return None


def _is_private(mode: int) -> bool:
    return not mode & (stat.S_IRWXG | stat.S_IRWXO)
