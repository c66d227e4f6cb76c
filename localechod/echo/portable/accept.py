"""Accepts clients of a listening socket, and serves each at once."""

import select
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from localechod.echo.portable.flow import Flow
from localechod.echo.portable.shares import CHILD_TIME
from localechod.localsocket.peer import credentials

if TYPE_CHECKING:
    from localechod.echo.portable.poller import Poller

# Called for each client of a listener with its descriptor, pid, uid and gid; returns its flow, or
# None for a client that is to be closed at once.
Admit: TypeAlias = Callable[[int, int, int, int], Flow | None]


def accept_clients(
    poller: "Poller", listener: socket.socket, admit: Admit, most: int, ceiling: int
) -> int:
    """Accept clients of a listening socket, and read from each at once.

    Args:
        poller: registers them.
        listener: a non-blocking socket.
        admit: called for each client.
        most: how many to accept.
        ceiling: the last one is that with this descriptor, or a higher one.

    Returns:
        How many were accepted; fewer than `most` if no more wait, or if it took CHILD_TIME.

    Raises:
        OSError: accept(2), but for EAGAIN.
    """
    accepted, until = 0, time.monotonic() + CHILD_TIME / 1e6
    kind = int(listener.type)
    while accepted < most:
        try:
            # accept() itself would look up two enumerations for each client: a tenth of the
            # cost of a connection.
            fd, _name = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001
        except BlockingIOError:
            break
        accepted += 1
        _accept(poller, socket.socket(socket.AF_UNIX, kind, 0, fd), admit)
        if fd >= ceiling or time.monotonic() >= until:
            break
    return accepted


def _accept(poller: "Poller", client: socket.socket, admit: Admit) -> None:
    client.setblocking(False)
    peer = credentials(client, supplementary=False)
    fd = client.fileno()
    flow = None
    try:
        flow = admit(fd, peer.pid, peer.uid, peer.gid)
    finally:
        if flow is None:
            client.close()
    if flow is None:
        return
    if flow.events & select.EPOLLRDHUP:  # of a seqpacket connection; see seqpacket.py
        client.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    client.detach()
    try:
        poller.register(fd, flow.events, flow)
        # It has probably sent something already; it may also have left.
        flow.serve(flow.events)
    except Exception as error:  # noqa: BLE001 - a defect: it ends here
        poller.root.handler_failed(fd, flow, error)
