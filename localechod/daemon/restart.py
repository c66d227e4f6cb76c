"""From one process to the next: everything that a restart must not lose, through systemd's store.

One stored descriptor for each connection would stall PID 1: its cost is quadratic (1,000 of them
took it 0.6 s, 4,000 took 10 s), and clients could cause it. So connections travel inside one stored
socket, as SCM_RIGHTS messages that lie in its queue, and what was read and not answered in one
memory file.
"""

import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from localechod.config import Config
from localechod.echo.binding import Opened, Owner, request
from localechod.echo.persist.crash_slots import Slots
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

# Names in the store. Listening sockets are there under "@" and their endpoint's name, which begins
# with a letter or a digit; names without "@" are those that socket units give. More: crash.py.
STATE = "@@state"
CONNECTIONS = "@@connections"
CONTROL = "@@control"
_OWN = {STATE, CONNECTIONS, CONTROL}

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


def read_state(inherited: dict[str, list[int]]) -> ServiceSnapshot | None:
    """Read what the process before this one wrote down; taken out of `inherited`.

    State of another version is refused: better that its clients read end of file than an answer
    that may be wrong.
    """
    state = None
    for memory in inherited.pop(STATE, []):
        with os.fdopen(memory, "rb") as file:
            file.seek(0)
            try:
                state = decode(file.read())
            except SnapshotError as error:
                log.warning("%s", error)
    return state


def receive(
    inherited: dict[str, list[int]], state: ServiceSnapshot | None
) -> tuple[tuple[EndpointSnapshot, ...], list[socket.socket]]:
    """Take the connections over; returns the endpoints' states, and the sockets in their order.

    Connections that do not match the state are closed, so that clients read end of file.
    """
    sockets = [sock for pair in inherited.pop(CONNECTIONS, []) for sock in _receive(pair)]
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


class SocketStore:
    """Keeps sockets in the store, for the start after a crash as after a restart.

    Attributes:
        slots: where connections leave word of where they are.
    """

    def __init__(self, store: Store, slots: Slots) -> None:
        self._store = store
        self.slots = slots

    def keep(self, name: str, descriptor: int) -> None:
        """Store an endpoint's socket, or a connection's."""
        self._store.keep(f"@{name}", descriptor)

    def drop(self, name: str) -> None:
        """Take one out of the store."""
        self._store.drop(f"@{name}")


def take_over(
    config: Config, owner: Owner, inherited: dict[str, list[int]], store: Store
) -> dict[str, Opened]:
    """Adopt the endpoints' sockets that were kept; what does not fit any more is bound anew.

    Args:
        config: with the endpoints.
        owner: who owns a socket whose endpoint names nobody.
        store: where what is not needed any more is dropped.
        inherited: by name in the store; what belongs to endpoints is taken out of it.
    """
    opened: dict[str, Opened] = {}
    for name in [name for name in inherited if name[:1] == "@" and name not in _OWN]:
        endpoint = config.endpoints.get(name[1:])
        for descriptor in inherited.pop(name):
            try:
                if endpoint is None or not endpoint.enabled:
                    store.drop(name)
                    retire(descriptor)
                    continue
                opened[endpoint.name] = adopt(descriptor, request(endpoint, owner))
            except (LocalechodError, OSError) as error:
                log.warning("%s: bound anew: %s", name[1:], error)
                store.drop(name)
    return opened
