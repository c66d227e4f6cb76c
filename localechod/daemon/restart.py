"""From one process to the next: everything that a restart must not lose, through systemd's store.

One stored descriptor for each connection would stall PID 1: its cost is quadratic (1,000 of them
took it 0.6 s, 4,000 took 10 s), and clients could cause it. So connections travel inside one stored
socket, as SCM_RIGHTS messages that lie in its queue, and what was read and not answered in one
memory file.
"""

import logging
import os
import socket
from collections.abc import Collection, Sequence
from contextlib import suppress

from msgspec.structs import replace

from localechod.config import Config
from localechod.daemon.inherited import CONNECTIONS, STATE, Inherited, endpoint_name
from localechod.echo.binding import Opened, Owner, request
from localechod.echo.persist.snapshot import (
    EndpointSnapshot,
    ServiceSnapshot,
    SnapshotError,
    decode,
    encode,
)
from localechod.echo.stream.connection import hang_up
from localechod.errors import LocalechodError
from localechod.host.fdstore import Store
from localechod.localsocket.adopt import adopt, retire

log = logging.getLogger("localechod.daemon.restart")

# SCM_MAX_FD is 253; unix(7).
_A_MESSAGE = 250


def pack(state: ServiceSnapshot, sockets: Sequence[socket.socket], store: Store) -> None:
    """Put state and connections into the store. Their sockets must not be shut down after this.

    Raises:
        OSError: there is no memory file or socket pair to be had, or not everything fits; whatever
            was stored is to be dropped by `discard`.
    """
    memory = os.memfd_create("localechod-state", os.MFD_CLOEXEC)
    try:
        data = memoryview(encode(state))
        while data:
            data = data[os.write(memory, data) :]
        store.keep(STATE, memory)
    finally:
        os.close(memory)
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with sender, receiver:
        sender.setblocking(False)
        for start in range(0, len(sockets), _A_MESSAGE):
            batch = [sock.fileno() for sock in sockets[start : start + _A_MESSAGE]]
            socket.send_fds(sender, [b"."], batch)
        store.keep(CONNECTIONS, receiver.fileno())


def discard(store: Store) -> None:
    """Take state and connections out of the store: they have been read, or shall not be."""
    store.drop(STATE)
    store.drop(CONNECTIONS)


def read_state(data: bytes | None) -> ServiceSnapshot | None:
    """Decode the state that the process before this one wrote down; None: there is none.

    State of another version is refused: an end of file is better for its clients than an answer
    that may be wrong.
    """
    if data is None:
        return None
    try:
        return decode(data)
    except SnapshotError as error:
        log.warning("%s", error)
        return None


def receive(
    pairs: Sequence[int], state: ServiceSnapshot | None
) -> tuple[tuple[EndpointSnapshot, ...], list[socket.socket]]:
    """Take the connections over; returns the endpoints' states, and the sockets in their order.

    Connections that do not match the state are closed, so that clients read end of file.
    """
    sockets = [sock for pair in pairs for sock in _receive(pair)]
    states = () if state is None else state.endpoints
    expected = sum(len(endpoint.connections) for endpoint in states)
    if len(sockets) == expected:
        return states, sockets
    log.warning("%d of %d connections arrived: all of them are closed", len(sockets), expected)
    for sock in sockets:
        hang_up(sock)
    return tuple(replace(endpoint, connections=()) for endpoint in states), []


def _receive(pair: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    with socket.socket(fileno=pair) as receiver, suppress(BlockingIOError):
        receiver.setblocking(False)
        while True:
            message, descriptors, _flags, _address = socket.recv_fds(receiver, 1, _A_MESSAGE)
            sockets += [socket.socket(fileno=descriptor) for descriptor in descriptors]
            if not message:
                break
    for sock in sockets:
        sock.setblocking(False)  # it is already; Python does not know
        sock.set_inheritable(False)  # recv_fds takes MSG_CMSG_CLOEXEC and does nothing with it
    return sockets


def take_over(
    config: Config,
    owner: Owner,
    inherited: Inherited,
    store: Store,
    activated: Collection[str] = (),
) -> dict[str, Opened]:
    """Adopt the endpoints' sockets that were stored; what does not fit any more is bound anew.

    Args:
        config: with the endpoints.
        owner: owner of a socket whose endpoint names none.
        inherited: with the stored sockets, which are taken over.
        store: sockets that are not needed any more are dropped from it.
        activated: endpoints whose socket is systemd's now. A client no longer finds a stored one.
    """
    opened: dict[str, Opened] = {}
    for name, descriptors in inherited.endpoints.items():
        endpoint = config.endpoints.get(name)
        for descriptor in descriptors:
            try:
                if endpoint is None or not endpoint.enabled or name in activated:
                    store.drop(endpoint_name(name))
                    retire(descriptor)
                    continue
                opened[name] = adopt(descriptor, request(endpoint, owner))
            except (LocalechodError, OSError) as error:
                log.warning("%s: bound anew: %s", name, error)
                store.drop(endpoint_name(name))
    return opened
