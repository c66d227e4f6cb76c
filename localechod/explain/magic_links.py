"""Links in /proc/PID that lead elsewhere: root, cwd and fd/* (proc_pid_root(5)).

The kernel jumps to the file itself, also into another mount namespace or below another root. A
client may follow such a link if it may inspect the process, which `jump_checks` decides.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from localechod.accounts import user_of
from localechod.explain.client import Client
from localechod.host.procfs import capabilities, parse_status


@dataclass(frozen=True, slots=True)
class Owner:
    """The process whose link it is.

    Attributes:
        pid: in the pid namespace of that /proc.
        uids: real, effective and saved uid.
        gids: the same of its group.
        permitted: its permitted capabilities.
        dumpable: other processes of its user may inspect it (PR_SET_DUMPABLE(2const)).
        user_namespace: the inode number of its user namespace; None where unknown.
    """

    pid: int
    uids: frozenset[int]
    gids: frozenset[int]
    permitted: int
    dumpable: bool
    user_namespace: int | None


@dataclass(frozen=True, slots=True)
class Inspector:
    """What the rules ask of the client.

    Attributes:
        uid: its file system uid.
        gid: its file system gid; None where unknown.
        effective: its effective capabilities.
        user_namespace: as of `Owner`.
        ours: our own user namespace.
    """

    uid: int
    gid: int | None
    effective: int
    user_namespace: int | None
    ours: int | None


def owner(directory: int) -> Owner | None:
    """Find the process to which a directory of /proc belongs: /proc/PID, or one level below it.

    Returns:
        None where it is the directory of no process.
    """
    for above in ("", "../"):
        try:
            status = parse_status(_read(f"{above}status", directory).decode("utf-8", "replace"))
            uids, gids = (list(map(int, status[name].split())) for name in ("Uid", "Gid"))
            # The directory itself has the user's uid also where the process is not dumpable.
            shown = os.stat(f"{above}status", dir_fd=directory).st_uid
            pid = int(status["Pid"])
        except (OSError, KeyError, ValueError):
            continue
        return Owner(
            pid,
            frozenset(uids[:3]),
            frozenset(gids[:3]),
            capabilities(status, "CapPrm"),
            dumpable=shown == uids[1],
            user_namespace=_namespace(f"{above}ns/user", directory),
        )
    return None


def mountinfo(directory: int) -> bytes:
    """Return the mounts that the process of a directory sees; b"" where they may not be read."""
    for above in ("", "../"):
        try:
            return _read(f"{above}mountinfo", directory)
        except OSError:
            continue
    return b""


def inspector(client: Client) -> Inspector:
    """Read what the rules ask of a client.

    Raises:
        OSError: the client's process has ended.
    """
    ours = _namespace("/proc/self/ns/user")
    if client.pid is None:
        account = user_of(client.uid)
        gid = None if account is None else account.pw_gid
        effective = 0 if client.uid else capabilities(_status("self"), "CapBnd")
        return Inspector(client.uid, gid, effective, ours, ours)
    status = _status(str(client.pid))
    theirs = _namespace(f"/proc/{client.pid}/ns/user")
    gid = int(status["Gid"].split()[3])
    effective = capabilities(status, "CapEff")
    return Inspector(client.uid, gid, effective, theirs, ours)


def _read(path: str, directory: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _status(pid: str) -> dict[str, str]:
    return parse_status((Path("/proc") / pid / "status").read_text("utf-8", "replace"))


def _namespace(path: str, directory: int | None = None) -> int | None:
    try:
        return os.stat(path, dir_fd=directory).st_ino
    except OSError:
        return None
