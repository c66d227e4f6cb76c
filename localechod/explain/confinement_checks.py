"""The check for settings of a client's service that hide files from it, and the remedy."""

import os
import stat
from dataclasses import replace
from pathlib import Path

from localechod.explain import drop_ins
from localechod.explain.change import Change
from localechod.explain.check import Check
from localechod.explain.confinement import Confinement, path_of
from localechod.explain.facts import Facts
from localechod.explain.remedy import Action, advice
from localechod.text import escape


def check_confinement(facts: Facts) -> list[Check]:
    """Check whether a setting of the client's service hides the socket.

    A directory without the socket is no problem of the service, unless the socket is outside of it.
    """
    found = facts.confinement
    if found is None or not (found.is_closed or _is_outside(facts)):
        return []
    where = escape(found.point)
    remedy = advice(
        f"have the settings of the client's service or container allow {where}, such as "
        "InaccessiblePaths= or ProtectHome="
    )
    if found.unit:
        effect = "{} is inaccessible" if found.is_closed else _EFFECTS[found.setting]
        cause = f"{found.unit} has the setting {found.setting}={escape(found.value)}"
        remedy = advice(f"have {found.unit} see {where}: its setting {found.setting}=")
        return [Check("sandbox", "problem", f"{cause}: {effect.format(where)}", remedy=remedy)]
    detail = f"{where} is made inaccessible, as systemd does it for a service"
    return [Check("sandbox", "problem", detail, remedy=remedy)]


_EFFECTS = {
    "PrivateTmp": "{} is a directory of its own",
    "ProtectHome": "{} is an empty file system of its own",
    "TemporaryFileSystem": "{} is an empty file system of its own",
    "RootDirectory": "it has another root directory",
    "RootImage": "it has another root directory",
}


def allowing(facts: Facts) -> Change | None:
    """Return the change of the settings after which the client sees the socket; None: not known."""
    found = facts.confinement
    outside = facts.outside
    if found is None or outside is None or not found.unit:
        return None
    lines = _lines(found, _directory(facts))
    if not lines:
        return None
    shown = " and ".join(lines)
    action = Action(
        f"give {found.unit} the setting {shown}, and restart it",
        drop_ins.command(found.unit, lines),
    )
    after = replace(outside, sandbox=facts.sandbox)
    if lines[0].startswith("BindReadOnlyPaths="):
        after = _mounted(after, _directory(facts))
    return Change((action,), after)


def _is_outside(facts: Facts) -> bool:
    walk = facts.outside.walk if facts.outside else None
    return walk is not None and walk.end is not None and stat.S_ISSOCK(walk.end.node.mode)


def _directory(facts: Facts) -> bytes:
    """Return the directory of the socket outside of the service; b"" where there is none."""
    walk = facts.outside.walk if facts.outside else None
    return bytes(Path(os.fsdecode(walk.end.path)).parent) if walk and walk.end else b""


def _lines(found: Confinement, directory: bytes) -> list[str]:
    """Return settings that let the client see this directory, and as little else as possible."""
    if found.setting == "PrivateTmp":
        return ["PrivateTmp=no"]
    if found.setting == "ProtectHome" and found.is_closed:
        return ["ProtectHome=read-only"]
    if found.setting == "InaccessiblePaths":
        # systemd adds a value to a list; an empty one clears it.
        rest = [word for word in found.value.split() if path_of(word) != found.point]
        plain = all(drop_ins.is_plain(os.fsencode(word.lstrip("-+"))) for word in rest)
        lines = ["InaccessiblePaths=", *(f"InaccessiblePaths={word}" for word in rest)]
        return lines if plain else []
    # A mount of the directory, not of the socket: a server that binds anew makes another file.
    below = directory.startswith(found.point.rstrip(b"/") + b"/") and directory != b"/"
    if below and drop_ins.is_plain(directory):
        return [f"BindReadOnlyPaths={os.fsdecode(directory)}"]
    return []


def _mounted(outside: Facts, directory: bytes) -> Facts:
    """Return the facts with a mount of the directory: systemd makes those above it, open to all."""
    walk = outside.walk
    if walk is None:
        return outside
    steps = tuple(step for step in walk.steps if step.path in {b"/", directory})
    return replace(outside, walk=replace(walk, steps=steps))
