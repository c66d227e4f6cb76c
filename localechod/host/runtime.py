"""Where things are: the runtime directory, the control socket, the configuration file.

The daemon and ``localechoctl`` find each other by the rules of this file alone, so they have to be
the same for both: they look at the environment and the uid, and never at what happens to exist.
"""

import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from localechod.accounts import user_of
from localechod.errors import ConfigError, LocalechodError, UsageError
from localechod.text import failure, printable

if TYPE_CHECKING:
    from localechod.host.privileges import Identity

CONTROL = "control.sock"
CATALOG = "endpoints.json"
LOCK = "localechod.lock"

SYSTEM_DIRECTORY = Path("/run/localechod")
SYSTEM_CONFIG = Path("/etc/localechod/localechod.toml")
# Below it each user has the directory that pam_systemd(8) makes XDG_RUNTIME_DIR of.
USERS_DIRECTORIES = Path("/run/user")


def runtime_directory(
    explicit: str | None, *, environ: Mapping[str, str] = os.environ, uid: int | None = None
) -> Path:
    """Return the absolute runtime directory; it need not exist.

    What was asked for, else /run/localechod for root, else ``$XDG_RUNTIME_DIR/localechod``
    (XDG Base Directory Specification: a relative value is ignored), else a directory of this
    user's under the temporary directory, which is to be trusted after :func:`check_private` only.

    Raises:
        UsageError: ``explicit`` is empty or no path.
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
    """Return where a daemon of this user's may be, the place by the rule first.

    The others are where the rule leads in another environment of the same user: his service
    manager has an XDG_RUNTIME_DIR, and a shell by su or a job of cron has none, or another user's.
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
        UsageError: the path asked for is empty or no path.
    """
    named = explicit if explicit is not None else environ.get("LOCALECHOD_CONTROL") or None
    if named is not None:
        return _absolute(named, "control socket's path")
    return runtime_directory(None, environ=environ) / CONTROL


def config_file(
    explicit: str | None, *, environ: Mapping[str, str] = os.environ, uid: int | None = None
) -> Path | None:
    """Return the absolute path of the configuration file; None: take the built-in default.

    What was asked for, else /etc/localechod/localechod.toml for root or localechod/localechod.toml
    below ``$XDG_CONFIG_HOME`` (default ``~/.config``) for anyone else, where that exists.

    Raises:
        ConfigError: the file asked for is not there, or it cannot be seen whether there is one.
            Silently serving the default instead of somebody's file would be the worse surprise.
        UsageError: ``explicit`` is empty or no path.
    """
    if explicit is not None:
        path = _absolute(explicit, "configuration file")
        if not _exists(path):
            raise ConfigError(f"open failed: No such file or directory (2): {printable(str(path))}")
        return path
    uid = os.geteuid() if uid is None else uid
    default = SYSTEM_CONFIG if uid == 0 else _user_config(environ, uid)
    return default if default is not None and _exists(default) else None


def prepare(directory: Path, identity: "Identity | None") -> None:
    """Create the runtime directory for the daemon, or check the one that is there.

    Created with an ``identity`` (as root, before the drop), it belongs to that account and everyone
    may enter (0755): the sockets' own modes decide. Created by anyone else it is private (0700);
    who wants visitors creates it himself, for an existing one keeps its mode.

    A directory that exists is never given to another owner. It may be one that the administrator
    named by mistake (``--runtime-dir /etc``), or that somebody else put in the way.

    Raises:
        LocalechodError: it cannot be created, or is not a directory that the daemon can trust
            and use.
    """
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        text = failure("mkdir", error.errno, directory)
        raise LocalechodError(text, _creation_hint(directory)) from None
    else:
        if identity is not None:
            _hand_over(directory, identity)
    owner = os.geteuid() if identity is None else identity.uid
    check_private(directory, owners=(owner,))


def check_private(directory: Path, *, owners: Collection[int] | None = None) -> None:
    """Make sure that nobody else can put a socket into this directory.

    Args:
        directory: it has to exist.
        owners: the uids that it may belong to; by default our own and root's.

    Raises:
        LocalechodError: it is no directory (a symbolic link to one counts as none), belongs to
            somebody else, or others than its owner may write to it.
    """
    try:
        status = directory.lstat()
    except OSError as error:
        raise LocalechodError(failure("open", error.errno, directory)) from None
    fault, remedy = distrust(status, (os.geteuid(), 0) if owners is None else owners)
    if fault:
        raise LocalechodError(
            f"runtime directory {printable(str(directory))} cannot be used: it {fault}",
            f"{remedy}, or choose another one",
        )


def distrust(status: os.stat_result, owners: Collection[int]) -> tuple[str, str]:
    """Say what is wrong with a directory, by its lstat, and what helps; ("", ""): nothing is."""
    if not stat.S_ISDIR(status.st_mode):
        return "is no directory", "remove it"
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
        # su and sudo can keep it, and then it is the other user's.
        hint = f"XDG_RUNTIME_DIR has to be a directory of your own: unset it, or {hint}"
    return hint


def _hand_over(directory: Path, identity: "Identity") -> None:
    # By descriptor, and only what is still root's: whoever may write to the parent directory could
    # have put something else under the name since mkdir.
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(directory, flags)
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
    # Not tempfile.gettempdir(): it tries directories out by writing to them, so that daemon and
    # client could come to different answers.
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
