"""Seqpacket endpoints: records in, replies out, and what tells an empty record from the end."""

import os
import socket
from contextlib import suppress

import pytest

from tests.integration.harness import DEADLINE, Daemon, fill_up, is_read, resident, until

KIND = socket.SOCK_SEQPACKET
PACKETS = '[endpoints.q]\ntype = "seqpacket"\nmode = "0666"\n'


def ask(sock: socket.socket, record: bytes) -> bytes:
    sock.send(record)
    return sock.recv(1 << 20)


def test_records_keep_their_boundaries(either: Daemon) -> None:
    either.configure(PACKETS)
    with either.start().connect("q", KIND) as sock:
        for record in (b"one", b"two\nlines", b"\0"):
            sock.send(record)
        replies = [sock.recv(100) for _ in range(3)]
    assert replies == [b"Hi, one", b"Hi, two\nlines", b"Hi, \0"]


def test_an_abstract_address_serves_the_same(daemon: Daemon) -> None:
    name = f"le-test-{os.getpid()}-{daemon.directory.name}"
    daemon.configure(f'[endpoints.q]\ntype = "seqpacket"\npath = "@{name}"\n')
    with daemon.start().connect(f"\0{name}", KIND) as sock:
        assert ask(sock, b"hello") == b"Hi, hello"


def test_an_empty_record_is_answered_and_is_not_the_end(either: Daemon) -> None:
    either.configure(PACKETS)
    with either.start().connect("q", KIND) as sock:
        assert ask(sock, b"") == b"Hi, "
        assert ask(sock, b"after it") == b"Hi, after it"
    row = either.row("q")
    assert (row["messages_total"], row["errors"]) == (2, {})


def test_an_empty_first_record_is_answered_after_the_endpoint_was_bound_again(
    either: Daemon,
) -> None:
    either.configure(PACKETS)
    either.start()
    (either.runtime / "q.sock").unlink()
    # Not until the file exists: bind makes it with mode 0, and the daemon listens a little later.
    until(lambda: either.row("q")["restarts_total"] == 1)
    with either.connect("q", KIND) as sock:
        sock.send(b"")
        sock.send(b"after it")
        assert [sock.recv(100), sock.recv(100)] == [b"Hi, ", b"Hi, after it"]


def test_without_a_prefix_an_empty_record_comes_back_empty(daemon: Daemon) -> None:
    daemon.configure(PACKETS + 'prefix = ""\n')
    with daemon.start().connect("q", KIND) as sock:
        assert ask(sock, b"") == b""
        assert ask(sock, b"after it") == b"after it"  # so that was a record and no end of file


def test_an_empty_record_before_the_close_is_answered_and_then_the_end_is_seen(
    either: Daemon,
) -> None:
    either.configure(PACKETS)
    with either.start().connect("q", KIND) as sock:
        sock.send(b"")
        sock.shutdown(socket.SHUT_WR)
        assert [sock.recv(100), sock.recv(100)] == [b"Hi, ", b""]
    row = either.row("q")
    assert (row["connections"], row["messages_total"], row["errors"]) == (0, 1, {})


def test_a_record_too_long_is_dropped_and_the_connection_goes_on(daemon: Daemon) -> None:
    daemon.configure(PACKETS + "max_message = 8\n")
    with daemon.start().connect("q", KIND) as sock:
        sock.send(b"123456789")
        sock.send(b"x" * 50_000)
        assert ask(sock, b"12345678") == b"Hi, 12345678"
    row = daemon.row("q")
    assert (row["errors"], row["messages_total"]) == ({"too_long": 2}, 1)


def test_a_reply_larger_than_the_socket_buffer_is_counted_and_the_connection_goes_on(
    daemon: Daemon,
) -> None:
    daemon.configure(PACKETS + "max_message = 1000000\n")
    with daemon.start().connect("q", KIND) as sock:
        default = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400_000)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= default:
            pytest.skip("a client may not have a larger buffer than the daemon's here")
        sock.send(b"x" * default)
        assert ask(sock, b"next") == b"Hi, next"
    assert daemon.errors("q") == {"reply_too_long": 1}


def test_replies_that_wait_for_room_arrive_whole_and_in_order(either: Daemon) -> None:
    either.configure(PACKETS)
    with either.start().connect("q", KIND) as sock:
        sock.setblocking(False)
        sent = 0
        with suppress(BlockingIOError):
            while True:
                sock.send(b"%d " % sent * 100)
                sent += 1
        sock.setblocking(True)
        for number in range(sent):
            assert sock.recv(1000) == b"Hi, " + b"%d " % number * 100


@pytest.mark.parametrize("record", [b"", b"x" * 1000], ids=["empty", "long"])
def test_peers_that_never_read_cost_little_memory(daemon: Daemon, record: bytes) -> None:
    daemon.configure(PACKETS)
    daemon.start()
    with daemon.connect("q", KIND) as other:
        ask(other, b"warm")
        before = resident(daemon.pid)
        peers = [daemon.connect("q", KIND) for _ in range(20)]
        fill_up(peers, [record], lambda: ask(other, b"turn"))
        assert resident(daemon.pid) - before < 8 << 20
        for peer in peers:
            peer.close()


def test_an_idle_connection_costs_no_buffer_of_the_longest_record(daemon: Daemon) -> None:
    daemon.configure(PACKETS + f"max_message = {1 << 20}\n")
    daemon.start()
    with daemon.connect("q", KIND) as first:
        ask(first, b"x")
        before = resident(daemon.pid)
        idle = [daemon.connect("q", KIND) for _ in range(50)]
        assert all(ask(sock, b"x") == b"Hi, x" for sock in idle)
        assert resident(daemon.pid) - before < 10 << 20
        for sock in idle:
            sock.close()


def test_a_stop_gives_end_of_file_and_no_reset_whatever_is_unread(daemon: Daemon) -> None:
    daemon.configure(PACKETS)
    with daemon.start().connect("q", KIND) as sock, daemon.connect("q", KIND) as other:
        # Full in both directions, with empty records among what the daemon has not read.
        fill_up([sock], [b"x" * 1000, b""], lambda: ask(other, b"turn"))
        assert not is_read(sock)
        assert daemon.ctl("stop", "q").returncode == 0
        sock.settimeout(DEADLINE)
        while sock.recv(2000):  # a reset would raise
            pass
