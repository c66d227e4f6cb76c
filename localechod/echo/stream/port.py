"""What a connection needs of the listener that accepted it."""

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from localechod.config import EndpointConfig
from localechod.echo.counters import Counters
from localechod.echo.faults import EndpointFaults
from localechod.echo.passed import PassedDescriptors
from localechod.echo.persist.crash_keep import CrashKeeper
from localechod.echo.reactor import Reactor
from localechod.echo.stream.buffers import BufferBudget

if TYPE_CHECKING:
    from localechod.echo.stream.connection import Connection


class Port(Protocol):
    """What a connection needs of the listener that accepted it, and no more.

    Attributes:
        socket_type: SOCK_STREAM or SOCK_SEQPACKET.
        config: the endpoint's settings; Connection.configure is called when they change.
        counters: the endpoint's: a connection counts there what it counts for itself, and errors.
        crash_keeper: has to be told when the connection ends.
        buffers: has to be told how much the connection has buffered.
        faults: of the endpoint.
        passed: descriptors that clients pass.
    """

    reactor: Reactor
    socket_type: int
    config: EndpointConfig
    counters: Counters
    crash_keeper: CrashKeeper
    buffers: BufferBudget
    faults: EndpointFaults
    passed: PassedDescriptors

    def observe(self, messages: Sequence[bytes], uid: int) -> None:
        """Log messages of a user, on an endpoint with `log_messages`."""
        ...

    def failed(self, error: Exception) -> None:
        """Count and report a defect."""
        ...

    def linger(self, sock: socket.socket, uid: int) -> None:
        """Take the socket of a connection that ends, whose peer has unread replies."""
        ...

    def connection_closed(self, connection: "Connection") -> None:
        """Note that a connection has closed; called once for each, after its socket is closed."""
        ...
