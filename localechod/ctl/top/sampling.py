"""Takes samples: one call to the daemon, and the kernel's list of sockets."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from localechod.ctl.listing import process_as_json, unlisted
from localechod.ctl.top.model import Frame, Sample, SocketQueue, frame
from localechod.errors import LocalechodError
from localechod.explain.processes import HoldingProcess, processes_of
from localechod.localsocket import diag

if TYPE_CHECKING:
    from localechod.control.client import Client


class Sampler:
    """Takes a sample at a time, and remembers the last one and the processes of sockets.

    Args:
        client: makes a client of the daemon.
    """

    def __init__(self, client: Callable[[], "Client"]) -> None:
        self._client = client
        self._last: Sample | None = None
        self._holders: dict[int, list[HoldingProcess]] = {}

    def frame(self) -> Frame:
        """Return what has changed since the last call.

        Raises:
            LocalechodError: the kernel's list of sockets could not be read.
        """
        report, problem = None, ""
        try:
            report = self._client().status()
        except LocalechodError as error:
            problem = str(error)
        try:
            sockets = diag.sockets()
        except OSError as error:
            raise unlisted(error) from None
        before, self._last = self._last, Sample(time.monotonic(), report, problem, sockets)
        return frame(before, self._last)

    def holders(self, sockets: list[SocketQueue]) -> dict[int, list[HoldingProcess]]:
        """Return the processes of some sockets.

        All descriptors of this host are read only where one of them is new: an inode number is not
        given again while its socket is open.
        """
        inodes = {each.inode for each in sockets}
        if not inodes <= self._holders.keys():
            self._holders = processes_of(inodes)[0]
        return self._holders


def as_json(found: Frame, holders: dict[int, list[HoldingProcess]]) -> dict[str, object]:
    """Return a frame in the documented form; what is unknown is None."""
    return {
        "interval_seconds": found.seconds,
        "daemon": found.daemon or None,
        "problem": found.problem or None,
        "endpoints": [
            {
                "name": each.name,
                "type": each.type,
                "state": each.state,
                "connections": each.connections,
                "messages_per_second": each.messages,
                "received_bytes_per_second": each.received,
                "sent_bytes_per_second": each.sent,
                "errors_per_second": each.errors,
                "new_errors": each.new_errors,
            }
            for each in found.endpoints
        ],
        "sockets": [
            {
                "path": each.name or None,
                "type": each.type,
                "inode": each.inode,
                "queue": each.queue,
                "backlog": each.limit,
                "change": each.change,
                "holders": [process_as_json(holder) for holder in holders.get(each.inode, ())],
            }
            for each in found.sockets
        ],
    }
