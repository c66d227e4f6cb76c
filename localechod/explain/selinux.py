"""What the loaded policy of SELinux permits: the kernel's own answer, without a connect.

A query to /sys/fs/selinux/access is answered as for the client, whatever the labels of our own
process are; libselinux's security_compute_av(3) asks so too.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from localechod.text import escape

ROOT = Path("/sys/fs/selinux")

_PERMISSIVE = 1  # AVD_FLAGS_PERMISSIVE in Linux's security/selinux/include/security.h
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Use:
    """What a client does to an object.

    Attributes:
        label: of the object; "" where it is not known.
        kind: the class of the object, such as "sock_file".
        permissions: of that class.
        path: of a file, as the client has it; b"" for a socket.
    """

    label: str
    kind: str
    permissions: tuple[str, ...]
    path: bytes = b""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Permissions that the policy does not give.

    Attributes:
        path: of the file; b"" for the socket.
        text: what is refused, as one escaped clause.
    """

    path: bytes
    text: str


def is_enforcing() -> bool:
    """Whether SELinux refuses what its policy does not permit; permissive, it only writes a log."""
    try:
        return (ROOT / "enforce").read_bytes().strip() == b"1"
    except OSError:
        return False


def refusals(client: str, uses: Iterable[Use]) -> tuple[tuple[Refusal, ...], bool]:
    """Ask the policy for each use.

    Args:
        client: the label of the client; "" where it is not known.
        uses: in the order of the kernel's own checks.

    Returns:
        What it refuses, and whether it has answered every question.
    """
    found: list[Refusal] = []
    complete = True
    for use in uses:
        refused = _refused(client, use) if client and use.label else None
        complete = complete and refused is not None
        if refused:
            names = " and ".join(refused)
            text = f"{escape(client)} has no permission {names} on {use.kind} {escape(use.label)}"
            found.append(Refusal(use.path, text))
    return tuple(found), complete


def _refused(client: str, use: Use) -> list[str] | None:
    """Return which permissions the policy does not give; None where it cannot be asked."""
    classes = ROOT / "class" / use.kind
    try:
        number = int((classes / "index").read_bytes())
        # A permission has the number of its bit, beginning with 1.
        bits = {
            each: 1 << int((classes / "perms" / each).read_bytes()) - 1 for each in use.permissions
        }
        allowed, *_, flags = _ask(f"{client} {use.label} {number} {sum(bits.values()):x}")
        if int(flags, 16) & _PERMISSIVE:  # this domain alone
            return []
        return [each for each, bit in bits.items() if not int(allowed, 16) & bit]
    except (OSError, ValueError):  # this policy has no such class, or does not let us ask
        return None


def _ask(question: str) -> list[str]:
    """Return the fields of an answer: allowed, decided, two of the audit, a counter, flags."""
    descriptor = os.open(ROOT / "access", os.O_RDWR | os.O_CLOEXEC)
    try:
        os.write(descriptor, question.encode())
        return os.read(descriptor, _LONGEST).decode("ascii").strip("\0\n").split()
    finally:
        os.close(descriptor)
