"""What the server of an endpoint works with, whatever its type."""

from collections.abc import Callable

from msgspec import Struct

from localechod.echo.counters import Counters
from localechod.echo.datagram.proof_budget import ProofBudget
from localechod.echo.endpoint_log import EndpointLog
from localechod.echo.passed import PassedDescriptors
from localechod.echo.persist.crash_keep import CrashKeeper, SocketStore
from localechod.echo.reactor import Reactor
from localechod.echo.stream.buffers import BufferBudget


class Context(Struct, frozen=True, kw_only=True):
    """What an endpoint has of its own, and what it shares with the others.

    Attributes:
        reactor: a child of the service's reactor, for this endpoint alone.
        counters, endpoint_log: of this endpoint.
        store: keeps sockets for the next process.
        crash_keeper: decides which connections are in the store.
        proof_budget: what the datagram endpoints share.
        buffers: the memory that the connections of all endpoints may use.
        passed: descriptors that clients pass to any endpoint.
        die: stops this endpoint after the current turn, with its socket file left; see faults.py.
    """

    reactor: Reactor
    counters: Counters
    endpoint_log: EndpointLog
    store: SocketStore
    crash_keeper: CrashKeeper
    buffers: BufferBudget
    passed: PassedDescriptors
    die: Callable[[], object]
    proof_budget: ProofBudget
