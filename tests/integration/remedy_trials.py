"""Try the remedies that `explain` offers: run its commands, and connect again.

Run as root in a mount namespace of its own, where /etc is a copy that usermod(8) may change:
unshare --mount --propagation private python -m tests.integration.remedy_trials FIRST COUNT
"""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from localechod.ctl.commands.explain import as_json
from localechod.explain.remedy import Remedy
from tests.integration import random_rights as rights
from tests.integration.random_rights import Case
from tests.integration.stage import Stage, mount

_ACCOUNTS = {
    "passwd": "alice:x:{0}:{0}::/:/bin/sh\nbob:x:{1}:{1}::/:/bin/sh\n",
    "shadow": "alice:!:1::::::\nbob:!:1::::::\n",
    "group": "alice:x:{0}:\nbob:x:{1}:\ncrew:x:{2}:alice\nteam:x:{3}:\ndocker:x:{4}:\n",
    "gshadow": "alice:!::\nbob:!::\ncrew:!::alice\nteam:!::\ndocker:!::\n",
}
_IDS = (rights.ALICE, rights.BOB, rights.CREW, rights.TEAM, rights.DOCKER)
_LINK, _CONTAINER = "use the path of the link's target", "supplementary group (\\d+)"


@dataclass
class Outcome:
    """The outcome of one seed; `wrong` is "" where the remedy helped, or none was offered."""

    seed: int
    kind: str
    offered: bool
    text: str
    commands: list[str]
    wrong: str = ""


def main(first: int, count: int) -> None:
    """Try seeds until so many of them were refused for a lack of permission; print each outcome."""
    _own_etc()
    done, seed = 0, first
    while done < count:
        _reset_accounts()
        with ExitStack() as stack:
            outcome = _try(rights.make(Stage(stack), seed), seed)
        if outcome is not None:
            done += 1
            sys.stdout.write(f"{json.dumps(asdict(outcome))}\n")
        seed += 1


def _own_etc() -> None:
    mount("-t", "tmpfs", "tmpfs", "/mnt")
    shutil.copytree("/etc", "/mnt", symlinks=True, dirs_exist_ok=True)
    mount("--bind", "/mnt", "/etc")
    disk = f"zdisk:x:{rights.DISK}:\n"
    for name, text in _ACCOUNTS.items():
        old = re.sub(r"(?m)^(alice|bob|crew|team|docker):.*\n", "", Path("/etc", name).read_text())
        more = disk if name == "group" else ""
        Path("/etc", f"{name}.first").write_text(old + text.format(*_IDS) + more, encoding="utf-8")


def _reset_accounts() -> None:
    for name in _ACCOUNTS:
        shutil.copy(f"/etc/{name}.first", f"/etc/{name}")


def _try(case: Case, seed: int) -> Outcome | None:
    report = case.explain()
    number = case.connect()
    if number != errno.EACCES:
        return None
    remedy, document = report.verdict.remedy, as_json(report)
    if seed % 2 and remedy.alternative is not None:
        remedy = remedy.alternative
    outcome = Outcome(
        seed, case.client.kind, bool(remedy.actions), remedy.text, document["commands"]
    )
    if report.verdict.number != number:
        return replace(outcome, wrong=f"the verdict is {report.verdict.text}")
    if not remedy.actions:
        return replace(outcome, wrong="" if remedy.reason else "no reason")
    return replace(outcome, wrong=_followed(case, remedy, document))


def _followed(case: Case, remedy: Remedy, document: dict[str, Any]) -> str:
    """Do what the remedy says, and connect; return what went wrong."""
    if remedy.commands and not set(remedy.commands) <= set(document["commands"]):
        return "the commands are not in the document"
    client = case.client
    anew = False
    for action in remedy.actions:
        if action.command:
            ran = subprocess.run(
                ["bash", "-c", action.command],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            if ran.returncode:
                return f"{action.command}: {ran.stderr}"
        elif action.renews:
            anew, client = True, client.renewed()
        elif action.text.startswith(_LINK):
            case.name = case.target
        elif found := re.search(_CONTAINER, action.text):
            anew, client = True, replace(client, groups=[*client.groups, int(found[1])])
        else:
            return f"cannot be followed: {action.text}"
    if anew:
        case.start(client)
    number = case.connect()
    return f"connect failed: {os.strerror(number)} ({number})" if number else ""


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
