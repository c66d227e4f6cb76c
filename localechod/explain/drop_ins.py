"""Settings for a systemd unit in a file of their own, which leaves the unit's file as it is."""

import re
from collections.abc import Sequence

from localechod.explain import shell

# Where a drop-in of a unit lies: systemd.unit(5).
_DROP_IN = "/etc/systemd/system/{unit}.d/local-sockets.conf"
# A path that no setting splits, quotes or expands (systemd.exec(5), systemd.unit(5)).
_PLAIN = re.compile(rb"/[A-Za-z0-9/._+@-]*\Z")


def command(unit: str, lines: Sequence[str]) -> str:
    """Return a shell command that adds settings to the section [Service] of a unit.

    The file keeps what an earlier command wrote to it.
    """
    file = shell.word(_DROP_IN.format(unit=unit))
    text = " ".join(map(shell.word, ("[Service]", *lines)))
    return (
        f"mkdir -p {shell.word(_DROP_IN.format(unit=unit).rpartition('/')[0])}"
        f" && printf '%s\\n' {text} >>{file}"
        f" && systemctl daemon-reload && systemctl restart {shell.word(unit)}"
    )


def is_plain(path: bytes) -> bool:
    """Whether a path can stand in a setting as it is."""
    return _PLAIN.match(path) is not None
