"""What the daemon inherits at its start: sockets of a socket unit, and what it stored earlier.

systemd passes both in the same way (sd_listen_fds(3)): descriptors from 3 on, each with a name. The
name alone says what a descriptor is; the order means nothing. All of it is read here, once, into
one value, and each part of the start gets its share of that as an argument.

Every name in systemd's descriptor store is defined in this module:

    NAME              of a socket unit: FileDescriptorName=, or the unit's own name
    @NAME             the socket of the endpoint NAME
    @SERIAL@NAME      a connection of the endpoint NAME that is kept for a crash
    @@control         the control socket
    @@state           a memory file: the state that a restart hands over
    @@connections     one end of a socket pair: the connections that a restart hands over
    @@crash-slots     a memory file: how far each connection that is kept for a crash has got
    @@config          a memory file: the configuration in force

An endpoint's name begins with a letter or a digit, so that none of these is taken for another.
"""

import os
import re
from collections.abc import Mapping, MutableMapping, Sequence

from msgspec import Struct, field

from localechod.echo.persist.crash_slots import Slots
from localechod.host import fdstore
from localechod.host.fdstore import Store

CONTROL = "@@control"
STATE = "@@state"
CONNECTIONS = "@@connections"
CRASH_SLOTS = "@@crash-slots"
CONFIG = "@@config"

_CONNECTION = re.compile(r"@(?P<serial>\d+)@.*", re.DOTALL)


class StoredConnection(Struct, frozen=True):
    """A connection that was kept for a crash.

    Attributes:
        name: in the store.
        descriptors: all of the same socket; usually one.
    """

    name: str
    descriptors: tuple[int, ...]


class Inherited(Struct, frozen=True, kw_only=True):
    """Everything that was passed in, by what it is for. Its descriptors are open and ours.

    Attributes:
        activated: the name and the descriptor of each socket that a socket unit passes.
        endpoints: stored sockets by endpoint. A name that belongs to no endpoint is here too.
        control: the control socket.
        state: what the process before wrote down for a restart; None: nothing.
        config: the configuration that was in force, as TOML; None: none is stored.
        connections: see the table above.
        crash_slots: see the table above.
        crash_kept: connections that were kept for a crash, by serial.
    """

    activated: tuple[tuple[str, int], ...] = ()
    endpoints: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    control: tuple[int, ...] = ()
    state: bytes | None = None
    config: str | None = None
    connections: tuple[int, ...] = ()
    crash_slots: tuple[int, ...] = ()
    crash_kept: Mapping[int, StoredConnection] = field(default_factory=dict)

    def descriptors(self) -> list[int]:
        """Return every descriptor, to be left open when the daemon detaches."""
        found = [descriptor for _, descriptor in self.activated]
        found += [each for descriptors in self.endpoints.values() for each in descriptors]
        found += [each for kept in self.crash_kept.values() for each in kept.descriptors]
        return [*found, *self.control, *self.connections, *self.crash_slots]


def inherit(environ: MutableMapping[str, str] = os.environ) -> Inherited:
    """Take over what was passed to this process; once, before any fork.

    Raises:
        UsageError: the environment promises a descriptor that is not open.
    """
    return parse(fdstore.inherit(environ))


def parse(named: Mapping[str, Sequence[int]]) -> Inherited:
    """Find out what each descriptor is for. Memory files that are text are read and closed."""
    endpoints: dict[str, tuple[int, ...]] = {}
    crash_kept: dict[int, StoredConnection] = {}
    activated: list[tuple[str, int]] = []
    for name, descriptors in named.items():
        connection = _CONNECTION.fullmatch(name)
        if name in {CONTROL, STATE, CONNECTIONS, CRASH_SLOTS, CONFIG}:
            continue
        if connection is not None:
            kept = StoredConnection(name, tuple(descriptors))
            crash_kept[int(connection["serial"])] = kept
        elif name.startswith("@"):
            endpoints[name[1:]] = tuple(descriptors)
        else:
            activated += [(name, descriptor) for descriptor in descriptors]
    config = _read(named.get(CONFIG, ()))
    return Inherited(
        activated=tuple(activated),
        endpoints=endpoints,
        control=tuple(named.get(CONTROL, ())),
        state=_read(named.get(STATE, ())),
        config=None if config is None else config.decode("utf-8", "replace"),
        connections=tuple(named.get(CONNECTIONS, ())),
        crash_slots=tuple(named.get(CRASH_SLOTS, ())),
        crash_kept=crash_kept,
    )


def endpoint_name(endpoint: str) -> str:
    """Return the name in the store of an endpoint's socket."""
    return f"@{endpoint}"


class EndpointStore:
    """The store as the endpoints see it: under names of theirs, which have no "@" before them.

    An endpoint's socket is stored under the endpoint's name, a connection under SERIAL@NAME.

    Attributes:
        slots: crash-recovery slots of the connections, in shared memory.
    """

    def __init__(self, store: Store, slots: Slots) -> None:
        self._store = store
        self.slots = slots

    def put(self, name: str, descriptor: int) -> None:
        """Store a duplicate of an endpoint's socket, or of a connection's."""
        self._store.keep(endpoint_name(name), descriptor)

    @property
    def is_busy(self) -> bool:
        """Whether what was put is not all on its way: systemd, or another user, is slow."""
        return self._store.is_waiting

    def remove(self, name: str) -> None:
        """Take it out of the store."""
        self._store.drop(endpoint_name(name))


def _read(memory_files: Sequence[int]) -> bytes | None:
    data = None
    for memory in memory_files:
        with os.fdopen(memory, "rb") as file:
            file.seek(0)
            data = file.read()
    return data
