"""Whose rights count: the ids, groups and capabilities of a process, or of a user's next login.

A process keeps the groups it was given when its session began. What the group file says now
counts at the next login only, so both are known here, and the difference is a frequent answer.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from localechod.accounts import find_user, groups_of, user_name, user_of
from localechod.errors import LocalechodError, NotPermittedError, UsageError
from localechod.host.procfs import (
    CAP_DAC_OVERRIDE,
    CAP_DAC_READ_SEARCH,
    capabilities,
    parse_id_map,
    parse_status,
)
from localechod.text import escape

_NO_ID = 2**32 - 1  # the one number that is nobody's (chown(2))
_OVERFLOW = Path("/proc/sys/kernel/overflowuid"), Path("/proc/sys/kernel/overflowgid")

Ids = tuple[range, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """Who connects, as the kernel's permission check sees it. All ids are those of the looker.

    Attributes:
        uid: the file system uid.
        groups: the file system gid and the supplementary groups.
        login_groups: the groups that the group file gives this user, from the next login on.
        dac_override: CAP_DAC_OVERRIDE is effective.
        dac_read_search: CAP_DAC_READ_SEARCH is effective.
        uids: the ids that its user namespace knows: a capability counts over no other's files.
        gids: the same for groups.
        pid: the process, or None for a user who may have none.
        overflow_ids: the uid and the gid by which our own user namespace shows us every one that it
            does not know; None where it knows all.
    """

    uid: int
    groups: frozenset[int]
    login_groups: frozenset[int]
    dac_override: bool
    dac_read_search: bool
    uids: Ids
    gids: Ids
    pid: int | None = None
    overflow_ids: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The user's name, escaped, or his number."""
        return user_name(self.uid)

    def is_mapped(self, uid: int, gid: int) -> bool:
        """Whether owner and group of a file exist in this client's user namespace."""
        return any(uid in ids for ids in self.uids) and any(gid in ids for ids in self.gids)


def of_process(pid: int) -> Client:
    """Read the credentials of a process from /proc (proc_pid_status(5), user_namespaces(7)).

    Raises:
        UsageError: there is no such process.
        LocalechodError: there is no /proc, as in a bare chroot.
        NotPermittedError: it is hidden from us.
    """
    try:
        status = (Path("/proc") / str(pid) / "status").read_bytes()
        uids, gids = (_mapped_ids(pid, name) for name in ("uid_map", "gid_map"))
    except (FileNotFoundError, ProcessLookupError):
        if pid == os.getpid():
            raise LocalechodError("/proc is not mounted", "mount -t proc proc /proc") from None
        raise UsageError(f"no such process: {pid}", "see ps -e") from None
    except PermissionError:
        raise NotPermittedError(
            f"inspecting process {pid} failed: Permission denied (13)", "run as root"
        ) from None
    fields = parse_status(status.decode("utf-8", "replace"))
    effective = capabilities(fields, "CapEff")
    uid = int(fields["Uid"].split()[3])
    groups = frozenset(map(int, [fields["Gid"].split()[3], *fields["Groups"].split()]))
    return Client(
        uid=uid,
        groups=groups,
        login_groups=_login_groups(uid),
        dac_override=bool(effective & CAP_DAC_OVERRIDE),
        dac_read_search=bool(effective & CAP_DAC_READ_SEARCH),
        uids=uids,
        gids=gids,
        pid=pid,
        overflow_ids=_overflow_ids(),
    )


def of_user(text: str) -> Client:
    """Look up a user, by name or number, as a new login of his would be.

    Root gets what root of this session can have at most (the capability bounding set).

    Raises:
        UsageError: there is no such user.
    """
    account = find_user(text)
    if account is None:
        raise UsageError(f"no such user: {escape(text)}", "see getent passwd")
    groups = groups_of(account)
    bounding = _bounding() if account.pw_uid == 0 else 0
    return Client(
        uid=account.pw_uid,
        groups=groups,
        login_groups=groups,
        dac_override=bool(bounding & CAP_DAC_OVERRIDE),
        dac_read_search=bool(bounding & CAP_DAC_READ_SEARCH),
        uids=_mapped_ids("self", "uid_map"),
        gids=_mapped_ids("self", "gid_map"),
        overflow_ids=_overflow_ids(),
    )


def _login_groups(uid: int) -> frozenset[int]:
    account = user_of(uid)
    return frozenset() if account is None else groups_of(account)


def _mapped_ids(pid: int | str, name: str) -> Ids:
    """Return which ids of our user namespace exist in that of a process."""
    text, own = ((Path("/proc") / str(each) / name).read_bytes() for each in (pid, "self"))
    lines = parse_id_map(text)
    # In the map of our own namespace the column "outside" has the ids of the parent namespace;
    # ours are those of "inside". The map of another namespace cannot have the same text unless
    # both columns have the same ids.
    firsts = [line.inside if text == own else line.outside for line in lines]
    return tuple(
        range(first, first + line.count) for first, line in zip(firsts, lines, strict=True)
    )


def _overflow_ids() -> tuple[int, int] | None:
    """Read what stands for unknown ids (user_namespaces(7), Unmapped user and group IDs)."""
    known = [sum(map(len, _mapped_ids("self", name))) for name in ("uid_map", "gid_map")]
    if min(known) == _NO_ID:
        return None
    uid, gid = (int(path.read_bytes()) for path in _OVERFLOW)
    return uid, gid


def _bounding() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    return capabilities(parse_status(status), "CapBnd")
