"""The client of a connect: the ids, groups and capabilities of a process or of a user.

A process keeps the groups that its session was started with. A change of the group database has
an effect from the next login on. Both sets of groups are read, because a difference between them
is a frequent reason for a denied connect.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from localechod.accounts import find_user, group_name, groups_of, user_name, user_of
from localechod.errors import LocalechodError, NotPermittedError, UsageError
from localechod.host.procfs import (
    CAP_DAC_OVERRIDE,
    CAP_DAC_READ_SEARCH,
    IdRange,
    capabilities,
    id_inside,
    parse_id_map,
    parse_status,
)
from localechod.text import escape

_NO_ID = 2**32 - 1  # the only number that is not a valid id (chown(2))
_NUMBERS = re.compile(r"(\d{1,10})(?::(\d{1,10}(?:,\d{1,10})*))?\Z", re.ASCII)
_OVERFLOW = Path("/proc/sys/kernel/overflowuid"), Path("/proc/sys/kernel/overflowgid")

Ids = tuple[range, ...]


@dataclass(frozen=True, slots=True)
class Client:
    """The credentials of a client, as the kernel's permission check uses them.

    All ids are those of our own user namespace.

    Attributes:
        uid: the file system uid.
        groups: the file system gid and the supplementary groups.
        login_groups: the groups that the user has from the next login on (group database).
        dac_override: CAP_DAC_OVERRIDE is effective.
        dac_read_search: CAP_DAC_READ_SEARCH is effective.
        uids: the ids that the client's user namespace maps. A capability has no effect on a file
            with another owner.
        gids: the same for groups.
        pid: the process; None for a user.
        overflow_ids: the uid and gid that our own user namespace shows for every id that it does
            not map; None where it maps all ids.
        is_foreign: our account database does not name its ids: it is in another user or pid
            namespace, has other account files, or has no account. Then numbers are shown.
        gid_map: our gids and those of the client's user namespace; empty where they are the same.
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
    is_foreign: bool = False
    gid_map: tuple[IdRange, ...] = ()

    @property
    def name(self) -> str:
        """The user's name, escaped, or their uid."""
        return self.user_name(self.uid)

    @property
    def called(self) -> str:
        """The user in a sentence: their name, or "uid" and the number."""
        return f"uid {self.uid}" if self.is_foreign else self.name

    def user_name(self, uid: int) -> str:
        """Return the name of any user, escaped, or the number where names do not apply."""
        return str(uid) if self.is_foreign else user_name(uid)

    def group_name(self, gid: int) -> str:
        """Return the name of any group, escaped, or the number where names do not apply."""
        return str(gid) if self.is_foreign else group_name(gid)

    def gid_inside(self, gid: int) -> int | None:
        """Return the number of a group in the client's user namespace; None: it has none."""
        return id_inside(gid, self.gid_map) if self.gid_map else gid

    def is_mapped(self, uid: int, gid: int) -> bool:
        """Whether the client's user namespace maps both owner and group of a file."""
        return any(uid in ids for ids in self.uids) and any(gid in ids for ids in self.gids)


def of_process(pid: int) -> Client:
    """Read the credentials of a process from /proc (proc_pid_status(5), user_namespaces(7)).

    Raises:
        UsageError: there is no such process.
        LocalechodError: /proc is not mounted, as in a bare chroot.
        NotPermittedError: /proc hides the process from us.
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
    is_foreign = user_of(uid) is None or not shares_accounts(pid)
    return Client(
        uid=uid,
        groups=groups,
        login_groups=frozenset() if is_foreign else _login_groups(uid),
        dac_override=bool(effective & CAP_DAC_OVERRIDE),
        dac_read_search=bool(effective & CAP_DAC_READ_SEARCH),
        uids=uids,
        gids=gids,
        pid=pid,
        overflow_ids=_overflow_ids(),
        is_foreign=is_foreign,
        gid_map=_gid_map(pid),
    )


def of_user(text: str, pid: int | None = None) -> Client:
    """Look up a user by name or uid, with the credentials that their next login has.

    Root has the capabilities of our own bounding set, the most that it can have in this session.

    Args:
        text: a name, or NUMBER[:GID[,GID...]]. A number needs no account. It then has these groups
            only, as the user of a container has.
        pid: the process in whose namespaces the user is; None: our own.

    Raises:
        UsageError: there is no such user.
    """
    account = find_user(text)
    if account is not None:
        groups = groups_of(account)
        client = _of_ids(account.pw_uid, groups, groups)
        foreign = pid is not None and not shares_accounts(pid)
        return replace(client, is_foreign=foreign, login_groups=frozenset() if foreign else groups)
    numbers = _NUMBERS.match(text)
    ids = [int(each) for each in re.findall(r"\d+", text)] if numbers else []
    if not ids or max(ids) >= _NO_ID:
        raise UsageError(
            f"no such user: {escape(text)}", "see getent passwd, or give UID[:GID[,GID...]]"
        )
    return replace(_of_ids(ids[0], frozenset(ids[1:]), frozenset()), is_foreign=True)


def shares_accounts(pid: int) -> bool:
    """Whether the names of our account database are those of a process.

    That is so in our own user and pid namespace, with our files of accounts. A service with mounts
    of its own has them; a container has others.
    """
    if pid == os.getpid():
        return True
    ours, theirs = Path("/proc/self"), Path("/proc") / str(pid)
    same = ["ns/user", "ns/pid", "root/etc/passwd", "root/etc/group"]
    try:
        return all((theirs / each).samefile(ours / each) for each in same)
    except OSError:  # a file is missing on one side, or the process is hidden from us
        return False


def _of_ids(uid: int, groups: frozenset[int], login_groups: frozenset[int]) -> Client:
    bounding = _bounding() if uid == 0 else 0
    return Client(
        uid=uid,
        groups=groups,
        login_groups=login_groups,
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


def _gid_map(pid: int) -> tuple[IdRange, ...]:
    text, own = ((Path("/proc") / str(each) / "gid_map").read_bytes() for each in (pid, "self"))
    return () if text == own else parse_id_map(text)


def _overflow_ids() -> tuple[int, int] | None:
    """Read the overflow ids (user_namespaces(7), Unmapped user and group IDs)."""
    known = [sum(map(len, _mapped_ids("self", name))) for name in ("uid_map", "gid_map")]
    if min(known) == _NO_ID:
        return None
    uid, gid = (int(path.read_bytes()) for path in _OVERFLOW)
    return uid, gid


def _bounding() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    return capabilities(parse_status(status), "CapBnd")
