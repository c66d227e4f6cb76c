"""The privilege drop: from root to the service's account, for good, and verified.

python-daemon changes the ids only in part: with ``initgroups=True`` it never calls setgid(2),
without it root's supplementary groups stay, and it leaves the capability sets alone. An incomplete
drop looks like a complete one from outside, so the result is read back from the kernel.
"""

import contextlib
import ctypes
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localechod.accounts import find_group, find_user, groups_of, is_number
from localechod.errors import ConfigError, NotPermittedError
from localechod.host.procfs import parse_status
from localechod.text import failure, printable

# prctl(2); the numbers are part of the kernel's ABI.
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522  # capget(2): two blocks of 32 capabilities

_CAPABILITY_SETS = {
    "CapInh": "inheritable",
    "CapPrm": "permitted",
    "CapEff": "effective",
    "CapBnd": "bounding",
    "CapAmb": "ambient",
}
_NEEDED = (
    "start localechod as root, with CAP_SETUID, CAP_SETGID and CAP_SETPCAP in its bounding set, "
    "or as the service user itself"
)
_TASKS = Path("/proc/self/task")


@dataclass(frozen=True, slots=True)
class Identity:
    """The account that the service runs as: ``groups`` are all its groups, ``gid`` among them."""

    user: str
    uid: int
    gid: int
    groups: frozenset[int]


def resolve(user: str, group: str | None) -> Identity:
    """Look up the service's account; names or, as systemd allows too, ids of existing accounts.

    Args:
        user: name or uid.
        group: name or gid of the primary group; None: the one in the user database.

    Raises:
        ConfigError: there is no such user or group, or it is root's.
    """
    account = find_user(user)
    if account is None:
        raise _unknown("user", user, "useradd --system --no-create-home --shell /usr/sbin/nologin")
    gid = account.pw_gid
    if group is not None:
        named = find_group(group)
        if named is None:
            raise _unknown("group", group, "groupadd --system")
        gid = named.gr_gid
    groups = groups_of(account, gid)
    if account.pw_uid == 0:
        raise ConfigError(
            "[service] user is root, and the service never serves as root",
            "name an unprivileged account",
        )
    if 0 in groups:
        raise ConfigError(
            f'[service] user "{account.pw_name}" would serve with group root',
            "name an unprivileged group, and take the user out of group root",
        )
    return Identity(account.pw_name, account.pw_uid, gid, groups)


def _unknown(kind: str, text: str, command: str) -> ConfigError:
    other = f"name an existing one as [service] {kind}"
    if not is_number(text):  # useradd gives ids to names, and takes no id for a name
        create = f"{command} {printable(shlex.quote(text))}"
        other = f'create it with "systemd-sysusers" or "{create}", or {other}'
    return ConfigError(f'unknown {kind} "{printable(text)}"', other)


def drop(identity: Identity) -> None:
    """Become ``identity`` for good, and verify it.

    Call it as root and before any thread is started: the C library carries the ids to every
    thread, but capability sets and no_new_privs belong to the calling one (capabilities(7)).

    Raises:
        NotPermittedError: a step was refused, or the verification failed; do not serve then.
    """
    _empty_bounding_set()  # first: it needs CAP_SETPCAP, which goes with the uid
    _prctl("clearing the ambient capabilities", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    try:
        # Groups while the uid may still set them, and setres*: the saved ids are the way back.
        os.setgroups(sorted(identity.groups))
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError as error:
        who = printable(identity.user)
        raise NotPermittedError(failure(f"becoming {who}", error.errno), _NEEDED) from None
    _clear_capabilities()
    _prctl("setting no_new_privs", _PR_SET_NO_NEW_PRIVS, 1)
    seal()
    prove(identity)


def seal() -> None:
    """Close the process's memory to others of the same account: no ptrace(2), no core file.

    The memory holds what clients wrote. The kernel does this by itself when root is given up, but
    only where fs.suid_dumpable is 0, and not for a process that never was root (PR_SET_DUMPABLE of
    prctl(2)). The price: only root may look at /proc/PID/fd of the daemon.

    Raises:
        NotPermittedError: it was refused, or has no effect when it is read back.
    """
    _prctl("clearing the dumpable flag", _PR_SET_DUMPABLE, 0)
    if (found := dumpable()) != 0:
        raise NotPermittedError(f"the dumpable flag is {found} after it was cleared", _NEEDED)


def dumpable() -> int:
    """Return PR_GET_DUMPABLE of prctl(2); 0: only root may look into this process."""
    return int(_libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0))


def prove(identity: Identity) -> None:
    """Verify by the kernel that every thread is ``identity`` and cannot become root again.

    Raises:
        NotPermittedError: with everything that differs.
    """
    wrong: list[str] = []
    for status in sorted(_TASKS.glob("*/status")):
        told = complaints(parse_status(status.read_text(errors="replace")), identity)
        wrong += [f"thread {status.parent.name}: {complaint}" for complaint in told]
    # The direct test, for whatever the fields above do not cover. EPERM is the usual answer, EINVAL
    # that of a user namespace without a uid 0.
    with contextlib.suppress(OSError):
        os.setresuid(0, 0, 0)
        wrong.append("setresuid(0, 0, 0) succeeded")
    if (flag := dumpable()) != 0:
        wrong.append(f"the dumpable flag is {flag} instead of 0")
    if wrong:
        raise NotPermittedError(
            f"privilege drop failed: {', '.join(wrong)}",
            "localechod does not serve with more rights than its service user",
        )


def complaints(fields: Mapping[str, str], identity: Identity) -> list[str]:
    """Return everything in which a thread's status differs from ``identity``.

    A missing field is a difference: a value that cannot be read is not verified.
    """
    wrong = []
    for name, wanted in (("Uid", identity.uid), ("Gid", identity.gid)):
        # real, effective, saved, filesystem
        if fields.get(name, "").split() != [str(wanted)] * 4:
            wrong.append(f"{name} is {_shown(fields, name)} instead of {wanted}")
    groups = " ".join(str(gid) for gid in sorted(identity.groups))
    if sorted(fields.get("Groups", "").split()) != sorted(groups.split()):
        wrong.append(f"Groups is {_shown(fields, 'Groups')} instead of {groups}")
    for name, meaning in _CAPABILITY_SETS.items():
        if set(fields.get(name, "")) != {"0"}:
            wrong.append(f"the {meaning} capability set is {_shown(fields, name)}")
    if fields.get("NoNewPrivs") != "1":
        wrong.append(f"NoNewPrivs is {_shown(fields, 'NoNewPrivs')} instead of 1")
    return wrong


def _shown(fields: Mapping[str, str], name: str) -> str:
    return " ".join(fields.get(name, "unknown").split()) or "empty"


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Block(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def _empty_bounding_set() -> None:
    # Until the kernel knows no further capability (EINVAL, as -1): a newer kernel may have more of
    # them than any header. A capability that is not in the set is left alone, so that a bounding
    # set which a container has emptied needs no CAP_SETPCAP.
    capability = 0
    while (held := _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0)) >= 0:
        if held:
            _prctl("emptying the capability bounding set", _PR_CAPBSET_DROP, capability)
        capability += 1


def _prctl(purpose: str, option: int, argument: int) -> None:
    # Every argument is an unsigned long for the kernel, which refuses garbage in the unused ones.
    zero = ctypes.c_ulong(0)
    if _libc.prctl(option, ctypes.c_ulong(argument), zero, zero, zero) < 0:
        raise NotPermittedError(failure(purpose, ctypes.get_errno()), _NEEDED)


def _clear_capabilities() -> None:
    # setresuid cleared them unless SECBIT_KEEP_CAPS or SECBIT_NO_SETUID_FIXUP was inherited, and
    # it never touches the inheritable set.
    header = _Header(_CAPABILITY_VERSION_3, 0)
    if _libc.capset(ctypes.byref(header), (_Block * 2)()) < 0:
        raise NotPermittedError(failure("capset", ctypes.get_errno()), _NEEDED)
