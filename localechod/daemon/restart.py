"""A restart: hands sockets, connections and state to the next process through systemd's store.

One stored descriptor for each connection would stall PID 1: its cost is quadratic (1,000 took PID 1
0.6 s, 4,000 took 10 s), and clients could cause it. So the connections are SCM_RIGHTS messages in
the queue of one stored socket, and one memory file holds the bytes that are read and not answered.
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
from localechod.errors import LocalechodError
from localechod.host.fdstore import Store
from localechod.localsocket.adopt import adopt, close_and_remove
from localechod.localsocket.closing import hang_up

log = logging.getLogger("localechod.daemon.restart")

# SCM_MAX_FD is 253; unix(7).
_A_MESSAGE = 250


def pack(state: ServiceSnapshot, sockets: Sequence[socket.socket], store: Store) -> None:
    """Store state and connections. The sockets must not be shut down after this.

    Raises:
        OSError: no memory file or socket pair can be created, or not everything fits; `discard`
            has to drop what was stored.
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
    """Drop state and connections from the store: they have been read, or must not be."""
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
    """Receive the connections; return the endpoints' states, and the sockets in their order.

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
        sock.setblocking(False)  # it is already, but Python does not know
        sock.set_inheritable(False)  # recv_fds ignores MSG_CMSG_CLOEXEC
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
                    close_and_remove(descriptor)
                    continue
                opened[name] = adopt(descriptor, request(endpoint, owner))
            except (LocalechodError, OSError) as error:
                log.warning("%s: bound anew: %s", name, error)
                store.drop(endpoint_name(name))
    return opened
