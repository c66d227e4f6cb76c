"""Caveats of a remedy: how long a change lasts, and how much power it gives."""

import stat

from localechod.explain.facts import Facts
from localechod.explain.walk import Step
from localechod.text import escape

# A member of these, or a client of these servers, has the server do anything as root.
_GROUPS_OF_SERVERS = frozenset(("docker", "lxd", "incus", "incus-admin", "libvirt", "podman"))
_SERVERS = frozenset(
    ("dockerd", "containerd", "podman", "crio", "lxd", "incusd", "libvirtd", "virtqemud", "snapd")
)
# Members of these can become root by other means than this socket.
_GROUPS_OF_SYSTEM = frozenset(("root", "sudo", "wheel", "admin", "disk", "shadow", "kmem"))
_SYSTEMD = 1


def power_of_group(facts: Facts, name: str) -> tuple[tuple[str, ...], bool]:
    """Return what a membership means, and whether its power goes beyond this socket."""
    beyond = name in _GROUPS_OF_SYSTEM
    if beyond or (name in _GROUPS_OF_SERVERS and not power_of_server(facts)):
        return (f"a member of group {escape(name)} can become root",), beyond
    return (), False


def power_of_server(facts: Facts) -> tuple[str, ...]:
    """Return the power that a connect gives, where the server obeys its clients as root."""
    found = [each for each in facts.holders if each.command in _SERVERS and each.user == "root"]
    return (f"a client of {found[0].command} can become root",) if found else ()


def lasting(facts: Facts, step: Step) -> tuple[str, ...]:
    """Return how long a mode or an ACL lasts that was set by hand, and where it is set for good."""
    if stat.S_ISSOCK(step.node.mode):
        text = "the server's next bind makes another file, without this change; for good: "
        return (f"{text}{_setting(facts)}",)
    if step.mount is not None and step.mount.kind == "tmpfs":
        text = (
            f"{escape(step.path)} is made anew at every boot, or start of its service; for good: "
            "RuntimeDirectoryMode= of that service, or tmpfiles.d(5)"
        )
        return (text,)
    return ()


def _setting(facts: Facts) -> str:
    """Return the setting that the server's socket gets its mode and group from."""
    unit = facts.activation
    if unit is not None and unit.active and any(each.pid == _SYSTEMD for each in facts.holders):
        return f"SocketMode= and SocketGroup= of {escape(unit.name)}"
    if any("localechod" in {each.command, each.unit.partition(".")[0]} for each in facts.holders):
        return "mode and group of the endpoint in localechod.toml"
    server = facts.holders[0].command if facts.holders else ""
    return f"{server or 'the server'}'s own setting of the socket's mode and group"
