"""Reaching the daemon over its control socket, and what is said where that fails: no gRPC here."""

import errno
import os
import socket
from pathlib import Path

from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError
from localechod.host import runtime
from localechod.localsocket.address import Address
from localechod.localsocket.connect import connect

# Looking takes milliseconds; what is slower than this is stuck.
LOOK_SECONDS = 5.0


class ConnectionLostError(LocalechodError):
    """The connection ended before the answer: the daemon has ended, or restarts."""


def connected(address: Address) -> socket.socket:
    """Connect, within a deadline.

    Raises:
        DaemonNotRunningError: nobody listens there.
        SocketError: what else the kernel reports.
    """
    try:
        return connect(address, socket.SOCK_STREAM, LOOK_SECONDS).sock
    except SocketError as error:
        located = f"{error.text}: {address}"
        if error.errno in {errno.ENOENT, errno.ECONNREFUSED}:
            text = f"localechod is not running: {located}"
            raise DaemonNotRunningError(text, start_hint(Path(address.path))) from None
        raise


def lost(address: Address) -> ConnectionLostError:
    """Return the error for a connection that was closed too early."""
    return ConnectionLostError(
        f"control call failed: the connection was closed before the answer: {address}",
        f"see {_journal(Path(address.path))}",
    )


def foreign(address: Address) -> LocalechodError:
    """Return the error for a server that does not speak HTTP/2."""
    return LocalechodError(
        f"control call failed: what answers there is not localechod: {address}",
        "name its control socket with --control",
    )


def late(address: Address, seconds: float) -> LocalechodError:
    """Return the error for an answer that did not come in so many seconds."""
    cause = f"no answer within {seconds:g} s: {address}"
    hint = f"see {_journal(Path(address.path))}"
    return LocalechodError(f"control call failed: {cause}", hint)


def start_hint(control: Path) -> str:
    """Say how the daemon that was meant is started; and where another one is that may be meant.

    Args:
        control: the control socket of the one that was meant.
    """
    systems = runtime.SYSTEM_DIRECTORY / runtime.CONTROL
    journal = _journal(control)
    if control == systems:
        hint = f"systemctl start localechod; why it ended: {journal}"
        users = _behind_sudo()
        return f"{hint}; yours runs, without sudo: {users}" if users else hint
    hint = f"start localechod; of a system service, {journal} says why it ended"
    if _is_own(control):
        start = "systemctl --user start localechod, or localechod --detach"
        hint = f"{start}; why it ended: {journal}"
    besides = f"; the system's is: localechoctl --control {systems}"
    return hint + besides * _is_there(systems)


def _journal(control: Path) -> str:
    return f"journalctl {'--user ' if _is_own(control) else ''}-u localechod -n 20"


def _is_own(control: Path) -> bool:
    return os.geteuid() != 0 and control.parent in runtime.own_directories()


def _behind_sudo() -> Path | None:
    """Find the control socket of the user who is root by sudo only for this command."""
    uid = os.environ.get("SUDO_UID", "")
    control = runtime.USERS_DIRECTORIES / uid / "localechod" / runtime.CONTROL
    return control if uid.isdecimal() and _is_there(control) else None


def _is_there(control: Path) -> bool:
    try:
        return control.is_socket()
    except OSError:  # in a directory that is closed to us
        return False
