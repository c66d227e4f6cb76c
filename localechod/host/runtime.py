"""Paths: the runtime directory, the control socket, the configuration file.

The daemon and ``localechoctl`` find each other by the rules of this file alone, so they
look at the environment and the uid only, never at which files exist.
"""

import os
import stat
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from localechod.accounts import user_of
from localechod.errors import ConfigError, LocalechodError, UsageError
from localechod.localsocket.trusted import open_trusted
from localechod.text import failure, printable

if TYPE_CHECKING:
    from localechod.host.privileges import Identity

CONTROL = "control.sock"
CATALOG = "endpoints.json"
LOCK = "localechod.lock"

SYSTEM_DIRECTORY = Path("/run/localechod")
SYSTEM_CONFIG = Path("/etc/localechod/localechod.toml")
# pam_systemd(8) creates a directory for each user in it, and sets XDG_RUNTIME_DIR to that.
USERS_DIRECTORIES = Path("/run/user")


def runtime_directory(
    explicit: str | None, *, environ: Mapping[str, str] = os.environ, uid: int | None = None
) -> Path:
    """Return the absolute runtime directory; it need not exist.

    It is the one asked for; else /run/localechod for root; else ``$XDG_RUNTIME_DIR/localechod``
    (XDG Base Directory Specification: a relative value is ignored); else a directory of this user
    in the temporary directory, which :func:`check_private` has to check before it is trusted.

    Raises:
        UsageError: ``explicit`` is empty or not a path.
    """
    uid = os.geteuid() if uid is None else uid
    if explicit is not None:
        return _absolute(explicit, "runtime directory")
    if uid == 0:
        return SYSTEM_DIRECTORY
    if session := _directory(environ, "XDG_RUNTIME_DIR"):
        return session / "localechod"
    return _private(environ, uid)


def own_directories(
    *, environ: Mapping[str, str] = os.environ, uid: int | None = None
) -> list[Path]:
    """Return the possible runtime directories of this user's daemon, the one by the rule first.

    The others come from the rule in another environment of the same user. Their service manager
    has an XDG_RUNTIME_DIR; a shell started by su or a cron job has none, or another user's.
    """
    uid = os.geteuid() if uid is None else uid
    rule = runtime_directory(None, environ=environ, uid=uid)
    if uid == 0:
        return [rule]
    session = USERS_DIRECTORIES / str(uid) / "localechod"
    return [rule, *(place for place in (session, _private(environ, uid)) if place != rule)]


def control_path(explicit: str | None, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the absolute path of the control socket that ``localechoctl`` talks to.

    ``--control``, else LOCALECHOD_CONTROL, else the socket in the runtime directory.

    Raises:
        UsageError: the path asked for is empty or not a path.
    """
    named = explicit if explicit is not None else environ.get("LOCALECHOD_CONTROL") or None
    if named is not None:
        return _absolute(named, "control socket's path")
    return runtime_directory(None, environ=environ) / CONTROL


def config_file(
    explicit: str | None, *, environ: Mapping[str, str] = os.environ, uid: int | None = None
) -> Path | None:
    """Return the absolute path of the configuration file; None: the built-in default.

    It is the one asked for; else, where it exists, /etc/localechod/localechod.toml for root, and
    localechod/localechod.toml in ``$XDG_CONFIG_HOME`` (default ``~/.config``) for other users.

    Raises:
        ConfigError: the file asked for does not exist, or its existence cannot be checked. To serve
            the default instead of a user's file, without a word, would surprise them more.
        UsageError: ``explicit`` is empty or not a path.
    """
    if explicit is not None:
        path = _absolute(explicit, "configuration file")
        if not _exists(path):
            raise ConfigError(f"open failed: No such file or directory (2): {printable(str(path))}")
        return path
    uid = os.geteuid() if uid is None else uid
    default = SYSTEM_CONFIG if uid == 0 else _user_config(environ, uid)
    return default if default is not None and _exists(default) else None


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


def _open_parent(directory: Path, identity: "Identity | None") -> int:
    if identity is None:
        return os.open(directory.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    hint = "name one with --runtime-dir whose parent directories belong to root, such as in /run"
    return open_trusted(directory.parent, "root to make a runtime directory", hint=hint)


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


def _refuse(directory: Path, status: os.stat_result, owners: Collection[int]) -> None:
    fault, remedy = distrust(status, owners)
    if fault:
        raise LocalechodError(
            f"runtime directory {printable(str(directory))} cannot be used: it {fault}",
            f"{remedy}, or choose another one",
        )


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


def _creation_hint(directory: Path, environ: Mapping[str, str] = os.environ) -> str:
    hint = "choose another one with --runtime-dir, in a directory where you may create it"
    if directory.parent == _directory(environ, "XDG_RUNTIME_DIR"):
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


def _absolute(text: str, what: str) -> Path:
    if not text or "\0" in text:
        raise UsageError(f'the {what} cannot be "{printable(text)}"', "give a path")
    return Path(text).absolute()


def _directory(environ: Mapping[str, str], name: str) -> Path | None:
    path = Path(environ.get(name, ""))
    return path if path.is_absolute() else None


def _private(environ: Mapping[str, str], uid: int) -> Path:
    # Not tempfile.gettempdir(): it writes to directories to find a usable one, so that daemon and
    # client could find different ones.
    temporary = _directory(environ, "TMPDIR") or Path("/tmp")  # noqa: S108 - see check_private
    return temporary / f"localechod-{uid}"


def _user_config(environ: Mapping[str, str], uid: int) -> Path | None:
    base = _directory(environ, "XDG_CONFIG_HOME")
    if base is None:
        home = _directory(environ, "HOME") or _home(uid)
        base = None if home is None else home / ".config"
    return None if base is None else base / "localechod" / "localechod.toml"


def _home(uid: int) -> Path | None:
    account = user_of(uid)
    return None if account is None else Path(account.pw_dir)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigError(failure("open", error.errno, path)) from None
    return True
