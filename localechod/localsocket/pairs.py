"""Which sockets talk to which: connections, from the kernel's list of sockets.

UNIX_DIAG has a peer's inode for each socket. A connection that no process has accepted yet has one
end only, whose inode the listener has among those that wait. Nothing here does I/O.
"""

import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from localechod.localsocket.diag import STATE_ESTABLISHED, STATE_LISTEN, DiagSocket


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection.

    Attributes:
        inode: of its socket.
        socket: None where it is in a network namespace that is not in the list.
    """

    inode: int
    socket: DiagSocket | None


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection, or a datagram socket with a peer.

    Attributes:
        type: a socket.SOCK_*.
        state: "accepted", "waiting" for accept, "half-closed" or "shut down" (shutdown(2)),
            "closed" where one end has gone, "connected" for a datagram socket that has a peer, or
            "pair" for two that have each other, as from socketpair(2).
        client: the end that connected; None where it is closed. Of a pair, one of the two.
        server: the other end; None where it is closed, or not accepted yet.
        listener: through which it came; None where that is closed or was none.
        name: the address that the client connected to, as in sun_path; None where there is none.
    """

    type: int
    state: str
    client: End | None
    server: End | None
    listener: DiagSocket | None
    name: bytes | None


def connections(namespaces: Iterable[Iterable[DiagSocket]]) -> list[Connection]:
    """Pair sockets; a listener without clients is in no connection.

    Args:
        namespaces: the sockets of each network namespace. A connection by path may have its ends in
            two of them; an abstract name belongs to one.
    """
    return list(_Pairing(namespaces).all())


class _Pairing:
    def __init__(self, namespaces: Iterable[Iterable[DiagSocket]]) -> None:
        self._by_inode: dict[int, DiagSocket] = {}
        self._address: dict[int, object] = {}
        for number, sockets in enumerate(namespaces):
            for each in sockets:
                self._by_inode[each.inode] = each
                self._address[each.inode] = _address(each, number)
        self._count = Counter(self._address.values())
        self._listeners = {
            self._address[each.inode]: each
            for each in self._by_inode.values()
            if each.state == STATE_LISTEN
        }

    def all(self) -> Iterator[Connection]:
        waiting: set[int] = set()
        for listener in self._listeners.values():
            for inode in listener.pending:
                waiting.add(inode)
                # A client that has ended stays in line, without an inode.
                state = "waiting" if inode else "closed"
                client = self._end(inode)
                yield Connection(listener.type, state, client, None, listener, listener.name)
        for each in self._by_inode.values():
            if each.type == socket.SOCK_DGRAM:
                if each.has_peer:
                    yield from self._datagrams(each)
            elif each.state == STATE_ESTABLISHED and each.inode not in waiting:
                yield from self._stream(each)

    def _stream(self, each: DiagSocket) -> Iterator[Connection]:
        """Yield the connection of a socket: where both ends are listed, for the client only."""
        other = self._by_inode.get(each.peer) if each.peer else None
        if other is not None and self._rank(each) > self._rank(other):
            return
        ends = End(each.inode, each), self._end(each.peer)
        is_server = other is None and each.name is not None
        server = each if is_server else other
        client, end = reversed(ends) if is_server else ends
        listener = self._listeners.get(self._address[server.inode]) if server else None
        name = server.name if server else None
        state = _stream_state(each, is_pair=server is not None and name is None)
        yield Connection(each.type, state, client, end, listener, name)

    def _datagrams(self, each: DiagSocket) -> Iterator[Connection]:
        other = self._by_inode.get(each.peer) if each.peer else None
        is_pair = other is not None and other.peer == each.inode
        if other is not None and is_pair and self._rank(each) > self._rank(other):
            return
        state = "pair" if is_pair else "connected" if each.peer else "closed"
        name = other.name if other else None
        client, server = End(each.inode, each), self._end(each.peer)
        yield Connection(each.type, state, client, server, None, name)

    def _end(self, inode: int) -> End | None:
        return End(inode, self._by_inode.get(inode)) if inode else None

    def _rank(self, each: DiagSocket) -> tuple[int, int]:
        """Return how likely it is that this is the server's end, and not the client's.

        An accepted socket shares its address with a listener, or with others that the same listener
        has accepted. A client may be bound too, but to an address of its own.
        """
        address = self._address[each.inode]
        if each.name is None:
            return 0, each.inode
        return 1 + (self._count[address] > 1) + 2 * (address in self._listeners), each.inode


def _address(each: DiagSocket, namespace: int) -> object:
    """Return what a listener and the sockets that it accepts have in common."""
    if each.file_inode is not None:
        return each.type, each.device, each.file_inode
    return each.type, each.name, namespace


def _stream_state(each: DiagSocket, *, is_pair: bool) -> str:
    if not each.peer:
        # The kernel shuts a socket down whose peer is closed. One that waits has no peer yet.
        return "closed" if each.is_shut else "waiting"
    shut = each.is_shut, each.has_ended
    if any(shut):
        return "shut down" if all(shut) else "half-closed"
    return "pair" if is_pair else "accepted"
