"""Connecting to the control socket, and the errors where that fails. Imports no gRPC."""

import errno
import os
import socket
from pathlib import Path

from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError
from localechod.host import runtime
from localechod.localsocket.address import Address
from localechod.localsocket.connect import connect

# A call that only reads takes milliseconds; a daemon that is slower than this is stuck.
LOOK_SECONDS = 5.0


class ConnectionLostError(LocalechodError):
    """The connection ended before the reply: the daemon has ended, or restarts."""


def connected(address: Address) -> socket.socket:
    """Connect, within a deadline.

    Raises:
        DaemonNotRunningError: nothing listens at the address.
        SocketError: any other error of the kernel.
    """
    try:
        return connect(address, socket.SOCK_STREAM, LOOK_SECONDS).sock
    except SocketError as error:
        located = f"{error.text}: {address}"
        if error.errno in {errno.ENOENT, errno.ECONNREFUSED}:
            text = f"localechod is not running: {located}"
            raise DaemonNotRunningError(text, start_hint(Path(address.path))) from None
        raise


def connection_lost(address: Address) -> ConnectionLostError:
    """Return the error for a connection that was closed too early."""
    return ConnectionLostError(
        f"control call failed: the connection was closed before the reply: {address}",
        f"see {_journal(Path(address.path))}",
    )


def not_localechod(address: Address) -> LocalechodError:
    """Return the error for a server that does not speak HTTP/2."""
    return LocalechodError(
        f"control call failed: the server is not localechod: {address}",
        "name its control socket with --control",
    )


def no_reply(address: Address, seconds: float) -> LocalechodError:
    """Return the error for a reply that did not come within so many seconds."""
    cause = f"no reply within {seconds:g} s: {address}"
    hint = f"see {_journal(Path(address.path))}"
    return LocalechodError(f"control call failed: {cause}", hint)


def start_hint(control: Path) -> str:
    """Return how to start the daemon, and where another one is that may be meant.

    Args:
        control: the control socket of the daemon that does not run.
    """
    systems = runtime.SYSTEM_DIRECTORY / runtime.CONTROL
    journal = _journal(control)
    if control == systems:
        hint = f"start it: systemctl start localechod; see why it ended: {journal}"
        users = _of_sudo_user()
        own = f"; your own daemon is running ({users}): run this command without sudo"
        return hint + own * bool(users)
    hint = f"start localechod; if it is a system service, see why it ended: {journal}"
    if _is_own(control):
        start = "systemctl --user start localechod, or localechod --detach"
        hint = f"start it: {start}; see why it ended: {journal}"
    other = f"; to use the system's daemon: localechoctl --control {systems}"
    return hint + other * _is_there(systems)


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
