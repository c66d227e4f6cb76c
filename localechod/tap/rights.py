"""The rights of a thread by which the kernel and servers decide about its connect(2).

This process connects in the place of the command's threads. A program that root runs may give up
rights, for all or one of its threads. A connection with root's rights would give them back.
"""

import os
from pathlib import Path
from typing import NamedTuple

_EFFECTIVE, _FILE_SYSTEM = 2, 4  # of "Uid:" and "Gid:" in proc_pid_status(5)


class Rights(NamedTuple):
    """What a thread may do; `capabilities` are those in our own user namespace."""

    users: tuple[bytes, bytes]
    primary_groups: tuple[bytes, bytes]
    groups: frozenset[bytes]
    capabilities: int


def of(tid: int) -> Rights:
    """Read the rights of a thread.

    Raises:
        OSError: it has ended, or may not be looked into.
    """
    # Not splitlines(): the kernel does not escape a carriage return in the thread's name.
    lines = Path(f"/proc/{tid}/status").read_bytes().split(b"\n")
    fields = {words[0]: words for line in lines if (words := line.split())}
    users, groups = fields[b"Uid:"], fields[b"Gid:"]
    # In a user namespace that was made since, capabilities are only for what belongs to that.
    ours = Path(f"/proc/{tid}/ns/user").samefile("/proc/self/ns/user")
    return Rights(
        (users[_EFFECTIVE], users[_FILE_SYSTEM]),
        (groups[_EFFECTIVE], groups[_FILE_SYSTEM]),
        frozenset(fields[b"Groups:"][1:]),
        int(fields[b"CapEff:"][1], 16) if ours else 0,
    )


def are_ours(tid: int) -> bool:
    """Tell whether a thread has the same rights as this one.

    Raises:
        OSError: as for `of`.
    """
    return of(tid) == of(os.getpid())
