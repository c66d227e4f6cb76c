"""Hints after a failed bind or connect: the cause behind the errno, and what helps.

The checks are made after the failure, so things may have changed meanwhile: a hint is not proof,
and to find none is not an error. The checks use the effective ids, as the failed call did.
"""

import errno
import os
import socket
import stat
from pathlib import Path

from localechod.accounts import group_name, user_name
from localechod.localsocket import diag
from localechod.localsocket.address import Address
from localechod.localsocket.entry import diag_identity
from localechod.localsocket.types import TYPE_NAMES
from localechod.text import escape

_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFREG: "a regular file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
# The owner that a user namespace shows for an unmapped uid (user_namespaces(7))
_OVERFLOW_UID = Path("/proc/sys/kernel/overflowuid")
_ALL_UIDS = [b"0", b"0", b"4294967295"]
_NOT_LISTENING = "the server holds it, but does not listen: it is starting, or has shut it down"
_SECURITY_MODULE = (
    "the file modes allow it, so a security module (SELinux, AppArmor) may deny it: "
    "look for the denial in the audit log"
)


def kind(mode: int) -> str:
    """Return the file type of a st_mode, with its article."""
    return _KINDS.get(stat.S_IFMT(mode), "a file of unknown type")


def listing(status: os.stat_result) -> str:
    """Show mode, owner and group as ``ls -l`` does: "drwxr-xr-x root root"."""
    mode = stat.filemode(status.st_mode)
    return f"{mode} {user_name(status.st_uid)} {group_name(status.st_gid)}"


def bind_hint(number: int, address: Address) -> str:
    """Return what helps after a failed bind to a path; "" where that is unknown."""
    try:
        return _bind_hint(number, Path(address.path))
    except OSError:
        return ""


def connect_hint(number: int, address: Address) -> str:
    """Return what helps after a failed connect; "" where that is unknown."""
    try:
        return _connect_hint(number, address)
    except OSError:
        return ""


def chown_hint(number: int, address: Address) -> str:
    """Return what helps after a failed chown of a socket file; "" where that is unknown."""
    if number == errno.EPERM:
        return (
            "only root (CAP_CHOWN) may change the owner, "
            "and other users may change the group only to one that they are in"
        )
    return chmod_hint(number, address)


def chmod_hint(number: int, _: Address) -> str:
    """Return what helps after a failed chmod of a socket file; "" where that is unknown."""
    match number:
        case errno.EPERM:
            return "only root (CAP_FOWNER) may change the mode of another user's file"
        case errno.ENOENT:
            return "owner and mode are set through /proc: mount it"
    return ""


def _bind_hint(number: int, path: Path) -> str:
    parent = path.parent
    match number:
        case errno.EACCES:
            if _has_right(parent, os.W_OK | os.X_OK):
                return _SECURITY_MODULE
            closed = _closed_directory(path)
            return (
                f"run as a user who may enter {closed}"
                if closed
                else f"run as a user who may write to {_shown(parent)}"
            )
        case errno.ENOENT | errno.ENOTDIR:
            return _broken_directory(path)
        case errno.EROFS:
            return (
                f"{escape(str(parent))} is read-only for this process; under systemd, because of "
                f"ProtectSystem=: add ReadWritePaths={escape(str(parent))} to the unit"
            )
        case errno.EADDRINUSE:
            return "another process bound it at the same moment: try again"
    return ""


def _connect_hint(number: int, address: Address) -> str:
    match number:
        case errno.EAGAIN:
            return "the backlog is full: the server does not accept connections fast enough"
        case errno.EPROTOTYPE:
            types = {TYPE_NAMES.get(each.type, "") for each in _known(address)}
            return (
                f"it is a {'/'.join(sorted(types))} socket"
                if types
                else "it has another socket type"
            )
        case errno.EPERM:
            return (
                "either the datagram socket is connected to another peer, "
                "or a security module (SELinux, AppArmor) denies it"
            )
    if address.is_abstract:
        return _abstract_refusal(address) if number == errno.ECONNREFUSED else ""
    return _connect_path_hint(number, address)


def _connect_path_hint(number: int, address: Address) -> str:
    path = Path(address.path)
    match number:
        case errno.ENOENT | errno.ENOTDIR:
            if path.is_symlink():
                return "it is a symbolic link to a missing target"
            return _broken_directory(path) or (
                "the file does not exist: the server is not running, or listens elsewhere"
            )
        case errno.ECONNREFUSED:
            return _refusal(address)
        case errno.EACCES:
            return _denial(path)
    return ""


def _denial(path: Path) -> str:
    """Find the missing permission: to search a directory, or to write to the socket."""
    user = user_name(os.geteuid())
    closed = _closed_directory(path)
    if closed:
        return f"user {user} may not enter {closed}"
    if _has_right(path, os.W_OK):
        return _SECURITY_MODULE
    status = path.stat()
    return (
        f"connect needs write permission, "
        f"which user {user} does not have ({listing(status)}){_beyond_root(status)}"
    )


def _beyond_root(status: os.stat_result) -> str:
    """Explain why root lacks permission: in a user namespace, it is another user outside."""
    known = Path("/proc/self/uid_map").read_bytes().split()
    if os.geteuid() or known == _ALL_UIDS or status.st_uid != int(_OVERFLOW_UID.read_bytes()):
        return ""
    return ": its owner is not mapped in this user namespace, so root has no permission"


def _refusal(address: Address) -> str:
    """Return which of three cases it is: no socket, not listening yet, or a dead server."""
    status = Path(address.path).stat()
    if not stat.S_ISSOCK(status.st_mode):
        return f"it is {kind(status.st_mode)}, not a socket"
    try:
        known = _known(address)
    except OSError:
        return "no process listens on it"
    if any(each.state != diag.STATE_ESTABLISHED for each in known):
        return _NOT_LISTENING
    if not status.st_nlink:
        # A file without a link can be reached only because it is mounted here (or kept open).
        return (
            "it is a bind mount of a file that the server has since replaced: "
            "mount the directory instead"
        )
    return "no process listens on it any more: the server ended without removing the file"


def _abstract_refusal(address: Address) -> str:
    """Return why an abstract name refuses; it does so for a wrong type too (no EPROTOTYPE)."""
    known = diag.named(address.raw)
    if not known:
        return "no socket is bound to that name in this network namespace"
    reachable = {
        TYPE_NAMES.get(each.type, "")
        for each in known
        if each.type == socket.SOCK_DGRAM or each.state == diag.STATE_LISTEN
    }
    if not reachable:
        return _NOT_LISTENING
    return (
        f"it is a {'/'.join(sorted(reachable))} socket, "
        "and each socket type has its own abstract names"
    )


def _known(address: Address) -> list[diag.DiagSocket]:
    """Ask UNIX_DIAG about an address; a symbolic link is followed, as connect(2) does."""
    if address.is_abstract:
        return diag.named(address.raw)
    return diag.bound_to(*diag_identity(address.raw))


def _directories(path: Path) -> list[Path]:
    """List the directories that lead to a path, from the root down."""
    return list(reversed(path.parents))


def _broken_directory(path: Path) -> str:
    for directory in _directories(path):
        if directory.is_dir():
            continue
        if directory.exists():
            return f"{escape(str(directory))} is {kind(directory.stat().st_mode)}, not a directory"
        if directory.is_symlink():
            return f"{escape(str(directory))} is a symbolic link to a missing target: create it"
        return f"directory {escape(str(directory))} does not exist: create it"
    return ""


def _closed_directory(path: Path) -> str:
    """Show the first directory that this user may not enter; "" if all are open."""
    return next((_shown(each) for each in _directories(path) if not _has_right(each, os.X_OK)), "")


def _has_right(path: Path, right: int) -> bool:
    return os.access(path, right, effective_ids=True)


def _shown(path: Path) -> str:
    return f"{escape(str(path))} ({listing(path.stat())})"
