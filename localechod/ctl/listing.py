"""What commands that list sockets have in common: processes as JSON, and the limits of a list."""

import os
from typing import Any

from localechod.errors import LocalechodError
from localechod.explain import netns
from localechod.explain.processes import HoldingProcess
from localechod.localsocket import diag
from localechod.localsocket.diag import DiagSocket


def all_sockets() -> tuple[list[list[DiagSocket]], int | None]:
    """List the sockets of each network namespace that can be entered, those of our own first.

    Returns:
        The lists, and the number of namespaces that could not be entered; see `netns.collect`.

    Raises:
        LocalechodError: the list of our own namespace could not be read.
    """
    try:
        return netns.collect(diag.sockets)
    except OSError as error:
        raise unlisted(error) from None


def unlisted(error: OSError) -> LocalechodError:
    """Return the error for a list of sockets that could not be read."""
    cause = f"listing failed: {error.strerror} ({error.errno})"
    return LocalechodError(cause, "it needs UNIX_DIAG in the kernel, and AF_NETLINK")


def uninspected(unreadable: int) -> str:
    """Return how many processes could not be inspected, as a line."""
    count = "1 process" if unreadable == 1 else f"{unreadable} processes"
    more = "; root sees more" if os.geteuid() else ""
    return f"{count} could not be inspected{more}"


def process_as_json(process: HoldingProcess) -> dict[str, Any]:
    """Return a process in the documented form; what is unknown is None."""
    return {
        "pid": process.pid,
        "user": process.user,
        "command": process.command or None,
        "unit": process.unit or None,
    }
