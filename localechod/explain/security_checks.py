"""The checks of a security module: what SELinux's policy refuses, what AppArmor's profiles may.

The kernel asks the module for each file on the path where it checks the modes, and for the socket
last of all.
"""

import errno

from localechod.explain import shell
from localechod.explain.check import Check, ok
from localechod.explain.facts import Facts
from localechod.explain.remedy import Remedy, advice
from localechod.explain.security import Security
from localechod.text import escape

_DENIALS = {
    "SELinux": "ausearch -m avc -ts recent",
    "AppArmor": "journalctl -k -g apparmor",
    "Smack": "journalctl -k -g lsm=SMACK",
}


def check_file(facts: Facts, path: bytes) -> list[Check]:
    """Check what SELinux refuses to do with a file on the path; nothing where it permits it."""
    for each in facts.security.refusals:
        if each.path == path:
            word = shell.word(path)
            text = f"see whether its label is the expected one: matchpathcon -V {word}"
            return [_refused(f"{escape(path)}: {each.text}", text)]
    return []


def check_security(facts: Facts) -> list[Check]:
    """Check the labels of client and server, after all files."""
    module = facts.security
    if not module.module or any(each.path for each in module.refusals):
        return []
    refused = next((each.text for each in module.refusals if not each.path), "")
    if refused:
        return [
            _refused(refused, "see whether both sides are in the domains meant for them: ps -eZ")
        ]
    labels = [f"client {escape(module.client or 'unknown')}"]
    labels += [f"server {escape(label or 'unknown')}" for label in sorted(set(module.servers))]
    labels += [f"file {escape(module.file)}"] if module.file else []
    detail = f"{module.module}: {', '.join(labels)}"
    if module.module == "AppArmor" and not module.profiles:
        return [ok("security", f"{detail}: not confined")]
    if module.is_known:
        return [ok("security", f"{detail}: the policy permits it")]
    return [
        Check(
            "security",
            "unknown",
            f"{detail}: the policy may deny it",
            errno.EACCES,
            _how_to_know(facts),
            unless=_unless(module),
        )
    ]


def _refused(detail: str, text: str) -> Check:
    remedy = advice(f"{text}; after a denial, see what permits it: ausearch -m avc | audit2why")
    return Check("security", "problem", f"SELinux: {detail}", errno.EACCES, remedy)


def _unless(module: Security) -> str:
    if not module.profiles or module.module != "AppArmor":
        return f"the policy of {module.module} forbids it"
    names = " or ".join(map(escape, module.profiles))
    return f"AppArmor's profile {names} forbids it"


def _how_to_know(facts: Facts) -> Remedy:
    probe = "use --probe" if facts.question.is_ours else "run explain --probe where the client runs"
    denials = _DENIALS[facts.security.module]
    return advice(f"{probe}, under its label; a denial is in the log: {denials}")
