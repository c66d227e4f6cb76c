"""Paths: the runtime directory, the control socket, the configuration file.

The daemon and ``localechoctl`` find each other by the rules of this file alone, so they
look at the environment and the uid only, and at no file but the configuration.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from localechod.accounts import user_of
from localechod.errors import ConfigError, UsageError
from localechod.text import failure, printable

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
    in the temporary directory, which `runtime_directory.check_private` has to check before it is
    trusted.

    Raises:
        UsageError: ``explicit`` is empty or not a path.
    """
    uid = os.geteuid() if uid is None else uid
    if explicit is not None:
        return _absolute(explicit, "runtime directory")
    if uid == 0:
        return SYSTEM_DIRECTORY
    if session := directory_in(environ, "XDG_RUNTIME_DIR"):
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


def directory_in(environ: Mapping[str, str], name: str) -> Path | None:
    """Return the absolute path that a variable has; None where it has none."""
    path = Path(environ.get(name, ""))
    return path if path.is_absolute() else None


def _absolute(text: str, what: str) -> Path:
    if not text or "\0" in text:
        raise UsageError(f'the {what} cannot be "{printable(text)}"', "give a path")
    return Path(text).absolute()


def _private(environ: Mapping[str, str], uid: int) -> Path:
    # Not tempfile.gettempdir(): it writes to directories to find a usable one, so that daemon and
    # client could find different ones.
    temporary = directory_in(environ, "TMPDIR") or Path("/tmp")  # noqa: S108 - see runtime_directory.check_private
    return temporary / f"localechod-{uid}"


def _user_config(environ: Mapping[str, str], uid: int) -> Path | None:
    base = directory_in(environ, "XDG_CONFIG_HOME")
    if base is None:
        home = directory_in(environ, "HOME") or _home(uid)
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
