"""The runtime directory: made for the daemon, and trusted only if no other user can change it."""

import os
import stat
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from localechod.errors import LocalechodError
from localechod.host.runtime import directory_in
from localechod.localsocket.trusted import open_trusted
from localechod.text import failure, printable

if TYPE_CHECKING:
    from localechod.host.privileges import Identity


def prepare(directory: Path, identity: "Identity | None") -> int:
    """Create the runtime directory for the daemon, or check the one that is there.

    With an ``identity`` (as root, before the drop) it is created for that account, with mode 0755:
    the sockets' own modes decide who may connect. Without one it is private (0700). A user who
    wants to admit others creates it beforehand: an existing directory keeps its mode.

    An existing directory is never given to another owner. The administrator may have named it by
    mistake (``--runtime-dir /etc``), or another user may have put it there.

    As root, only root may change where the path of the directory above leads, see
    localsocket/trusted.py; or another user could choose where root makes and gives away a file.

    Returns:
        A descriptor of the directory, with O_PATH.

    Raises:
        LocalechodError: it cannot be created, or the daemon cannot trust or use it.
    """
    name = directory.name or "."
    owner = os.geteuid() if identity is None else identity.uid
    with ExitStack() as undo:
        try:
            parent = _open_parent(directory, identity)
            undo.callback(os.close, parent)
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            pass
        except OSError as error:
            text = failure("mkdir", error.errno, directory)
            raise LocalechodError(text, _creation_hint(directory)) from None
        else:
            if identity is not None:
                _hand_over(directory, parent, identity)
        opened = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        undo.callback(os.close, opened)
        _refuse(directory, os.fstat(opened), (owner,))
        return os.dup(opened)


def check_private(directory: Path) -> None:
    """Refuse a directory in which another user could create a socket.

    Raises:
        LocalechodError: it does not exist, is not a directory (a symbolic link to one is not),
            belongs to another user than us or root, or others than its owner may write to it.
    """
    try:
        status = directory.lstat()
    except OSError as error:
        raise LocalechodError(failure("open", error.errno, directory)) from None
    _refuse(directory, status, (os.geteuid(), 0))


def distrust(status: os.stat_result, owners: Collection[int]) -> tuple[str, str]:
    """Return what is wrong with a directory, by its lstat, and what helps; ("", ""): nothing."""
    if not stat.S_ISDIR(status.st_mode):
        return "is not a directory", "remove it"
    if status.st_uid not in owners:
        wanted = " or ".join(f"uid {uid}" for uid in sorted(set(owners)))
        return f"belongs to uid {status.st_uid} instead of {wanted}", "give it to its user (chown)"
    if status.st_mode & 0o022:
        mode = stat.S_IMODE(status.st_mode)
        return f"may be written by others than its owner (mode {mode:04o})", "chmod go-w it"
    return "", ""


def _open_parent(directory: Path, identity: "Identity | None") -> int:
    if identity is None:
        return os.open(directory.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    hint = "name one with --runtime-dir whose parent directories belong to root, such as in /run"
    return open_trusted(directory.parent, "root to make a runtime directory", hint=hint)


def _refuse(directory: Path, status: os.stat_result, owners: Collection[int]) -> None:
    fault, remedy = distrust(status, owners)
    if fault:
        raise LocalechodError(
            f"runtime directory {printable(str(directory))} cannot be used: it {fault}",
            f"{remedy}, or choose another one",
        )


def _creation_hint(directory: Path, environ: Mapping[str, str] = os.environ) -> str:
    hint = "choose another one with --runtime-dir, in a directory where you may create it"
    if directory.parent == directory_in(environ, "XDG_RUNTIME_DIR"):
        # su and sudo can keep the variable of the other user.
        hint = f"XDG_RUNTIME_DIR has to be a directory of your own: unset it, or {hint}"
    return hint


def _hand_over(directory: Path, parent: int, identity: "Identity") -> None:
    # Only if root still owns it: no other user can have replaced it, but this costs nothing.
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(directory.name, flags, dir_fd=parent)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                os.fchown(descriptor, identity.uid, identity.gid)
                os.fchmod(descriptor, 0o755)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise LocalechodError(failure("chown", error.errno, directory)) from None
