"""Parsing of two files in /proc: a process's status and its maps of user and group ids.

Nothing here reads a file. A caller that shows what it read must escape it first: a process chooses
its own name, which is a field of its status file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# linux/capability.h, as bits of the capability sets in a status file
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1 << 1, 1 << 2


@dataclass(frozen=True, slots=True)
class IdRange:
    """One line of a uid_map or gid_map file (user_namespaces(7)).

    Attributes:
        inside: the first id, as the process's own user namespace has it.
        outside: the same id, as the user namespace of the reader has it. Where the reader is in
            the same user namespace, it is as the parent of that namespace has it.
        count: how many consecutive ids are mapped.
    """

    inside: int
    outside: int
    count: int


def parse_status(status: str) -> dict[str, str]:
    """Return the fields of a /proc/PID/status file by name (proc_pid_status(5))."""
    # Not splitlines(): it also breaks lines at a form feed and others, which the kernel does not
    # escape in the process's name, so a name could forge a field.
    lines = (line.partition(":") for line in status.split("\n"))
    return {name: value.strip() for name, colon, value in lines if colon}


def capabilities(fields: Mapping[str, str], name: str) -> int:
    """Return one capability set of a status file as a bit mask.

    Args:
        fields: what `parse_status` returned.
        name: "CapEff", "CapBnd" and so on.

    Raises:
        KeyError: the file has no such field.
    """
    return int(fields[name], 16)


def parse_id_map(text: bytes) -> tuple[IdRange, ...]:
    """Return the lines of a /proc/PID/uid_map or gid_map file."""
    return tuple(IdRange(*map(int, line.split())) for line in text.splitlines())


def id_inside(outside: int, id_map: Sequence[IdRange]) -> int | None:
    """Translate an id of the reader's user namespace; None where the map does not have it."""
    for line in id_map:
        if line.outside <= outside < line.outside + line.count:
            return outside - line.outside + line.inside
    return None
