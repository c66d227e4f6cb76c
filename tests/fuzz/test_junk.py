"""Whatever bytes and descriptors come: nothing breaks, nothing grows, everyone else is served."""

import asyncio
import logging
import os
import socket
from contextlib import suppress
from typing import cast

import h2.events
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.fuzz import junk
from tests.fuzz.clients import KINDS, Client
from tests.fuzz.world import World, inventory

ENDPOINTS: dict[str, dict[str, object]] = {
    "line": {"type": "stream"},
    "short": {"type": "stream", "max_message": 100, "log_messages": True},
    "record": {"type": "stream", "framing": "record", "record_size": 64},
    "chunk": {"type": "stream", "framing": "chunk"},
    "sequence": {"type": "seqpacket", "max_message": 4096},
    "datagram": {"type": "datagram", "log_messages": True},
    "guarded": {"type": "datagram", "allow": ["root"], "max_message": 100},
}
ASKED = ("line", "chunk", "sequence", "datagram")


class Tracebacks(logging.Handler):
    """Adds every traceback that is logged to the problems."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__()
        self._problems = problems

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._problems.append(self.format(record))


class Junk(RuleBasedStateMachine):
    """One service; a client of each kind stays connected while others throw things."""

    @initialize()
    def begin(self) -> None:
        self.world = World(ENDPOINTS)
        self.tracebacks = Tracebacks(self.world.problems)
        logging.getLogger("grpclib").addHandler(self.tracebacks)
        self.loyal = [Client(self.world, name) for name in ASKED]
        self.all_is_well()
        self.world.settle()
        self.grown = self.size()

    def size(self) -> tuple[tuple[int, int], int, int]:
        """Return what must not grow: descriptors and threads, tasks, connections."""
        loop = self.world.loop
        tasks = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}  # that is our own waiting
        descriptors, threads = inventory()
        own = descriptors - self.world.stored()  # older connections are kept for a crash
        return (own, threads), len(tasks), len(list(self.world.supervisor.peers()))

    @rule(name=st.sampled_from(list(ENDPOINTS)), parcels=junk.parcels, ending=junk.endings)
    def throw(self, name: str, parcels: list[junk.Parcel], ending: str) -> None:
        config = self.world.endpoints[name].config
        with socket.socket(socket.AF_UNIX, KINDS[config.type]) as sock:
            if config.type == "datagram" and ending != "reset":
                sock.bind("")
            sock.connect(config.path)
            self.hurl(sock, parcels, ending)
        self.all_is_well()

    @rule(parcels=junk.calls, ending=junk.endings)
    def call(self, parcels: list[junk.Parcel], ending: str) -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.world.control)
            self.hurl(sock, parcels, ending)
        self.all_is_well()

    def hurl(self, sock: socket.socket, parcels: list[junk.Parcel], ending: str) -> None:
        sock.setblocking(False)
        for message, kinds in parcels:
            # BlockingIOError: nobody reads on while a reply waits. The others: we were hung up on,
            # or a message is longer than the socket's buffer.
            with junk.opened(kinds, sock) as descriptors, suppress(OSError):
                socket.send_fds(sock, [message], descriptors)
            self.world.settle()
            # A client that passes its own socket, does not read, and leaves, stays connected for
            # the kernel; tests/integration/test_descriptors.py has that.
            if ending == "read" or "itself" in kinds:
                self.read_all(sock)
        if ending == "half-close":
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            self.world.settle()

    def read_all(self, sock: socket.socket) -> None:
        with suppress(OSError):
            while sock.recv(1 << 16):
                self.world.settle()

    def all_is_well(self) -> None:
        """See that everyone is answered; and that nothing is left of who has gone."""
        for client in self.loyal:
            client.ask()
        assert "0" in statuses(self.world)
        if hasattr(self, "grown"):
            self.world.until(lambda: self.size() == self.grown, lambda: (self.size(), self.grown))
        assert not self.world.problems, self.world.problems

    def teardown(self) -> None:
        if hasattr(self, "world"):
            logging.getLogger("grpclib").removeHandler(self.tracebacks)
            for client in self.loyal:
                client.end()
            self.world.end()


def statuses(world: World) -> list[str]:
    """Ask for everyone's status as a good client of the control socket; return grpc-status.

    Not by our own client: that is made for asyncio's loop alone.
    """
    method = "/localechod.v1.Control/Status"
    connection, request = junk.call(method, b"", framed=True, ended=True)
    found: list[str] = []
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        sock.connect(world.control)
        sock.send(request)

        def answered() -> bool:
            with suppress(BlockingIOError):
                for event in connection.receive_data(sock.recv(1 << 16)):
                    if isinstance(event, h2.events.TrailersReceived):
                        headers = dict(cast("list[tuple[str, str]]", event.headers))
                        found.append(headers["grpc-status"])
            return bool(found)

        world.until(answered, lambda: "the control socket does not answer")
    return found


FEW = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "4")),
    stateful_step_count=30,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_any_bytes_and_descriptors_break_nothing_and_leave_nothing() -> None:
    run_state_machine_as_test(Junk, settings=FEW)
