"""Reaching the daemon over its control socket, and what is said where that fails: no gRPC here."""

import errno
import socket

from localechod.errors import DaemonNotRunningError, LocalechodError, SocketError
from localechod.host import runtime
from localechod.localsocket.address import Address
from localechod.localsocket.connect import connect

# Looking takes milliseconds; what is slower than this is stuck.
LOOK_SECONDS = 5.0
LOOK_HERE = "journalctl -u localechod -n 20"


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
            raise DaemonNotRunningError(text, _start_hint(address)) from None
        raise


def lost(address: Address) -> ConnectionLostError:
    """Return the error for a connection that was closed too early."""
    return ConnectionLostError(
        f"control call failed: the connection was closed before the answer: {address}",
        f"see {LOOK_HERE}",
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
    return LocalechodError(f"control call failed: {cause}", f"see {LOOK_HERE}")


def _start_hint(address: Address) -> str:
    """Say how the daemon that was meant is started; or where another one is that may be meant."""
    system = runtime.SYSTEM_DIRECTORY / runtime.CONTROL
    if address.path == str(system):
        return f"systemctl start localechod; why it ended: {LOOK_HERE}"
    if system.is_socket():
        return f"the system's is: localechoctl --control {system}"
    return f"start localechod; of a system service, {LOOK_HERE} says why it ended"
