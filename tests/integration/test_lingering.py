"""Connections that end while their clients have unread replies keep their places until all is read.

The kernel would keep those replies, and count them against the service, for any number of clients.
"""

import socket
from contextlib import suppress

import pytest

from tests.integration.harness import Daemon, receive, until

LIMIT = 4
LINE = b"x" * 1000 + b"\n"
ENDPOINTS = (
    '[endpoints.stream]\ntype = "stream"\nmode = "0666"\nmax_connections_per_user = 4\n'
    '[endpoints.seqpacket]\ntype = "seqpacket"\nmode = "0666"\nmax_connections_per_user = 4\n'
    '[endpoints.small]\ntype = "stream"\nmode = "0666"\nmax_connections = 4\n'
)
KINDS = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET}


def ended(daemon: Daemon, name: str) -> socket.socket:
    """Return a connection that has been answered and ended, and whose reply is unread."""
    sock = daemon.connect(name, KINDS.get(name, socket.SOCK_STREAM))
    sock.sendall(LINE)
    assert sock.recv(1, socket.MSG_PEEK)
    sock.shutdown(socket.SHUT_WR)
    until(lambda: daemon.row(name)["connections"] == 0)
    return sock


def admitted(daemon: Daemon, name: str) -> socket.socket | None:
    """Return a connection that is served; None where it was refused."""
    sock = daemon.connect(name, KINDS[name])
    with suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(b"y\n")
        if receive(sock, 6) == b"Hi, y\n":
            return sock
    sock.close()
    return None


def admit(daemon: Daemon, name: str) -> socket.socket:
    """Connect until it is served: the daemon notes a little later that another has left."""
    found: list[socket.socket] = []

    def is_served() -> bool:
        sock = admitted(daemon, name)
        found.extend([sock] if sock else [])
        return sock is not None

    until(is_served)
    return found[0]


@pytest.mark.parametrize("pure", ["", "1"], ids=["compiled", "python"])
@pytest.mark.parametrize("name", KINDS)
def test_an_ended_connection_counts_until_its_client_has_read_all(
    daemon: Daemon, name: str, pure: str
) -> None:
    daemon.environment["LOCALECHOD_PURE_PYTHON"] = pure
    daemon.configure(ENDPOINTS)
    daemon.start()
    unread = [ended(daemon, name) for _ in range(LIMIT)]
    assert admitted(daemon, name) is None
    assert daemon.errors(name)["user_limit"] == 1
    first, second, third, fourth = unread
    assert receive(first, len(LINE) + 4) == b"Hi, " + LINE
    assert first.recv(1) == b""  # end of file, and no reset
    second.close()
    # Two places are free again, and no more.
    with admit(daemon, name), admit(daemon, name):
        assert admitted(daemon, name) is None
    for each in (first, third, fourth):
        each.close()


def test_the_places_of_all_count_too_and_a_stop_ends_them(daemon: Daemon) -> None:
    daemon.configure(ENDPOINTS)
    daemon.start()
    unread = [ended(daemon, "small") for _ in range(LIMIT)]
    with daemon.connect("small") as waiting:
        waiting.sendall(b"y\n")
        assert daemon.row("small")["connections"] == 0
        unread[0].close()
        assert receive(waiting, 6) == b"Hi, y\n"
    assert daemon.ctl("restart", "small").returncode == 0
    with daemon.connect("small") as sock:
        sock.sendall(b"y\n")
        assert receive(sock, 6) == b"Hi, y\n"
    for each in unread[1:]:
        assert receive(each, len(LINE) + 4) == b"Hi, " + LINE
        each.close()
    assert daemon.stop() == 0
