"""Connecting to the control socket, and the errors where that fails. Imports no gRPC."""

import errno
import os
import socket
from pathlib import Path

from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError
from localechod.host import runtime
from localechod.localsocket.address import Address
from localechod.localsocket.connect import connect
from localechod.text import failure

# A call that only reads takes milliseconds; a daemon that is slower than this is stuck.
LOOK_SECONDS = 5.0

# The most that a server may send for one reply. 65,536 peers, as many as the unit's LimitNOFILE=
# allows, take 3 MiB. A row may be encoded in two bytes and takes a kilobyte once it is decoded and
# formatted, so that bytes alone are no bound on memory.
REPLY_BYTES = 4 << 20
REPLY_ROWS = 1 << 17

# Where systemd looks for units that installations and administrators put there; systemd.unit(5).
SYSTEM_UNITS = (
    *("/etc/systemd/system", "/run/systemd/system"),
    *("/usr/local/lib/systemd/system", "/usr/lib/systemd/system"),
)
USERS_UNITS = ("/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user")

# Bytes that are read at a time, between two looks at the clock. HTTP/2 has frames of nine bytes
# that cost a hundred times more to handle than to send.
READ_BYTES = 4096


class ConnectionLostError(LocalechodError):
    """There was no reply: the connection ended, or the time. It may help to try again."""


def connected(address: Address, seconds: float | None = None) -> socket.socket:
    """Connect within so many seconds; by default LOOK_SECONDS.

    Raises:
        DaemonNotRunningError: nothing listens at the address.
        SocketError: any other error of the kernel.
    """
    try:
        return connect(address, socket.SOCK_STREAM, seconds or LOOK_SECONDS).sock
    except SocketError as error:
        located = f"{error.text}: {address}"
        if error.errno in {errno.ENOENT, errno.ECONNREFUSED}:
            text = f"localechod is not running: {located}"
            path = Path(address.path)
            wrong_file = error.errno == errno.ECONNREFUSED and address.path and not _is_there(path)
            hint = (error.hint if wrong_file else "") or start_hint(path)
            raise DaemonNotRunningError(text, hint) from None
        raise


def connection_lost(address: Address) -> ConnectionLostError:
    """Return the error for a connection that was closed too early."""
    return ConnectionLostError(
        f"control call failed: the connection was closed before the reply: {address}",
        f"see {_journal(Path(address.path))}",
    )


def not_localechod(address: Address) -> LocalechodError:
    """Return the error for a server that does not speak HTTP/2, or sends no reply of ours."""
    return LocalechodError(
        f"control call failed: the server is not localechod: {address}",
        "name its control socket with --control",
    )


def too_long(address: Address) -> LocalechodError:
    """Return the error for a server that sends more than a reply may have."""
    cause = failure("control call", errno.EMSGSIZE)
    hint = f"the server sent more than {REPLY_BYTES} bytes or {REPLY_ROWS} rows for one reply"
    return LocalechodError(f"{cause}: {address}", hint)


def no_reply(address: Address, seconds: float) -> ConnectionLostError:
    """Return the error for a reply that did not come within so many seconds."""
    cause = f"no reply within {seconds:g} s: {address}"
    hint = f"see {_journal(Path(address.path))}"
    return ConnectionLostError(f"control call failed: {cause}", hint)


def start_hint(control: Path) -> str:
    """Return how to start the daemon, and where another one is that may be meant.

    Args:
        control: the control socket of the daemon that does not run.
    """
    systems = runtime.SYSTEM_DIRECTORY / runtime.CONTROL
    journal = _journal(control)
    if control == systems:
        hint = "start it as root: localechod --detach"
        if _exists(*SYSTEM_UNITS):
            hint = f"start it: systemctl start localechod; see why it ended: {journal}"
        users = _of_sudo_user()
        own = f"; your own daemon is running ({users}): run this command without sudo"
        return hint + own * bool(users)
    hint = f"start localechod; if it is a system service, see why it ended: {journal}"
    if _is_own(control):
        hint = "start it: localechod --detach"
        if _exists(*_users_units()):
            start = "systemctl --user start localechod, or localechod --detach"
            hint = f"start it: {start}; see why it ended: {journal}"
    other = f"; to use the system's daemon: localechoctl --control {systems}"
    return hint + other * _is_there(systems)


def _users_units() -> list[str]:
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() fails without a home directory
    own = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    return [f"{own}/systemd/user", *USERS_UNITS]


def _exists(*directories: str) -> bool:
    """Return whether there is a unit of the daemon; pip installs none."""
    return any(os.path.lexists(f"{each}/localechod.service") for each in directories)


def _journal(control: Path) -> str:
    return f"journalctl {'--user ' if _is_own(control) else ''}-u localechod -n 20"


def _is_own(control: Path) -> bool:
    return os.geteuid() != 0 and control.parent in runtime.own_directories()


def _of_sudo_user() -> Path | None:
    """Return the control socket of the user who runs this command by sudo, if there is one."""
    uid = os.environ.get("SUDO_UID", "")
    control = runtime.USERS_DIRECTORIES / uid / "localechod" / runtime.CONTROL
    return control if uid.isdecimal() and _is_there(control) else None


def _is_there(control: Path) -> bool:
    try:
        return control.is_socket()
    except OSError:  # in a directory that this user may not search
        return False
