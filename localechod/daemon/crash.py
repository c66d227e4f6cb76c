"""Crash recovery: goes on with what a crashed process has left in systemd's store.

Beside the endpoints' sockets that is: the oldest connections; the shared memory with a
crash-recovery slot for each; and the configuration in force, in case the file is broken.
"""

import logging
import mmap
import os
import socket
import time
from collections.abc import Mapping, Sequence

from localechod.config import Config, EndpointConfig
from localechod.daemon.inherited import CONFIG, CRASH_SLOTS, StoredConnection
from localechod.echo.persist import crash_slots
from localechod.echo.persist.crash_slots import SlotError, SlotRecord, Slots
from localechod.echo.persist.snapshot import ConnectionSnapshot, EndpointSnapshot
from localechod.echo.stream.resync import go_on
from localechod.host.fdstore import Store
from localechod.localsocket.closing import hang_up
from localechod.localsocket.peer import credentials
from localechod.localsocket.types import TYPES

log = logging.getLogger("localechod.daemon.crash")

# Entries of the store that are neither an endpoint's socket nor a connection: the control socket,
# slots and configuration, and during a restart the state and the other connections.
_OTHERS = 5


def remember(text: str, store: Store) -> None:
    """Store the configuration in force, in place of the one before it."""
    try:
        memory = os.memfd_create("localechod-config", os.MFD_CLOEXEC)
    except OSError as error:
        log.warning("the configuration is not stored for a crash: memfd_create failed: %s", error)
        return
    with os.fdopen(memory, "wb") as file:
        file.write(text.encode())
        file.flush()
        store.drop(CONFIG)
        store.keep(CONFIG, memory)


def forget(store: Store) -> None:
    """Drop what only a next process would need: there will be none."""
    store.drop(CONFIG)
    store.drop(CRASH_SLOTS)


def memory(stored: Sequence[int], store: Store) -> Slots:
    """Return the slots in the memory that was stored, or in new memory. Descriptors are closed."""
    for descriptor in stored:
        try:
            return Slots(mmap.mmap(descriptor, 0))
        except (SlotError, ValueError, OSError) as error:
            log.warning("%s; kept connections are closed", error)
            store.drop(CRASH_SLOTS)
        finally:
            os.close(descriptor)
    count = store.capacity - _OTHERS
    if count <= 0:
        return crash_slots.no_slots()
    try:
        descriptor = os.memfd_create("localechod-crash-slots", os.MFD_CLOEXEC)
    except OSError as error:
        log.warning("a crash will keep no connections: memfd_create failed: %s", error)
        return crash_slots.no_slots()
    try:
        os.ftruncate(descriptor, crash_slots.size(count))
        store.keep(CRASH_SLOTS, descriptor)
        return crash_slots.format_memory(mmap.mmap(descriptor, 0), count)
    finally:
        os.close(descriptor)


def revive(
    kept: Mapping[int, StoredConnection],
    memory: Slots,
    states: Sequence[EndpointSnapshot],
    config: Config,
    store: Store,
) -> tuple[list[EndpointSnapshot], list[socket.socket]]:
    """Go on with the connections that were kept for a crash.

    A connection that a restart has handed over is in `states`; the store's duplicate is closed. Any
    other goes on if that cannot give a wrong answer; if it can, its client reads end of file.

    Returns:
        The states of the others, as far as known, and their sockets in the same order.
    """
    records = {record.serial: record for record in memory.records()}
    brought = {connection.serial for state in states for connection in state.connections}
    revived: list[tuple[EndpointSnapshot, socket.socket]] = []
    for serial, stored in kept.items():
        descriptor, *others = stored.descriptors
        for each in others:  # of the same socket
            os.close(each)
        record = records.pop(serial, None)
        if serial in brought:
            os.close(descriptor)
            goes_on = record is not None
        else:
            one = _revive(descriptor, record, config)
            revived += [one] if one is not None else []
            goes_on = one is not None
        if not goes_on:
            store.drop(stored.name)
            if record is not None:
                memory.free(serial)
    for serial in records:  # a slot without a socket
        memory.free(serial)
    lost = len(kept) - len(brought & kept.keys()) - len(revived)
    if revived or lost:
        log.warning("after a crash: %d connections go on, %d are closed", len(revived), lost)
    return [state for state, _ in revived], [sock for _, sock in revived]


def _revive(
    descriptor: int, record: SlotRecord | None, config: Config
) -> tuple[EndpointSnapshot, socket.socket] | None:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:  # it is not a socket, so not one of ours
        os.close(descriptor)
        return None
    endpoint = None if record is None else config.endpoints.get(record.endpoint)
    state = None
    if record is not None and endpoint is not None and endpoint.enabled:
        state = _state(sock, record, endpoint)
    if state is None:
        hang_up(sock)
        return None
    return state, sock


def _state(
    sock: socket.socket, record: SlotRecord, config: EndpointConfig
) -> EndpointSnapshot | None:
    """Return the state of a connection that can go on; None: it has to end."""
    skip = go_on(record, config)
    if skip is None or sock.type != TYPES[config.type]:
        return None
    sock.setblocking(False)  # it is already, but Python does not know
    peer = credentials(sock, supplementary=False)
    connection = ConnectionSnapshot(
        pid=peer.pid,
        uid=peer.uid,
        gid=peer.gid,
        accepted_at=record.accepted_at,
        active_at=time.monotonic(),
        messages=0,
        received=0,
        sent=0,
        skip=skip,
        serial=record.serial,
    )
    return EndpointSnapshot(config=config, counters={}, errors={}, connections=(connection,))
