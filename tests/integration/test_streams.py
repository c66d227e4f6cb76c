"""Stream endpoints over real sockets: where messages begin and end, and what a client may do."""

import json
import os
import select
import socket
import threading
from contextlib import suppress

import pytest

from tests.integration.harness import (
    DEADLINE,
    Daemon,
    cpu_seconds,
    fill_up,
    is_read,
    receive,
    resident,
    until,
)

LINES = '[endpoints.a]\ntype = "stream"\nmode = "0666"\n'
ABSTRACT = '[endpoints.a]\ntype = "stream"\npath = "@{}"\n'


def ask(sock: socket.socket, message: bytes) -> bytes:
    """Send a line and return its reply."""
    sock.sendall(message + b"\n")
    return receive(sock, len(message) + 5)


def test_a_line_is_answered_with_the_prefix(either: Daemon) -> None:
    either.configure(LINES)
    with either.start().connect("a") as sock:
        assert ask(sock, b"hello") == b"Hi, hello\n"
        assert ask(sock, b"") == b"Hi, \n"
        assert ask(sock, b"\0\xff\x1b") == b"Hi, \0\xff\x1b\n"


def test_an_abstract_address_serves_the_same(daemon: Daemon) -> None:
    name = f"le-test-{os.getpid()}-{daemon.directory.name}"
    daemon.configure(ABSTRACT.format(name))
    with daemon.start().connect(f"\0{name}") as sock:
        assert ask(sock, b"hello") == b"Hi, hello\n"
    row = daemon.row("a")
    assert (row["path"], row["mode"], row["owner"], row["group"]) == (f"@{name}", "", "", "")


def test_pipelined_lines_are_answered_one_by_one_in_order(either: Daemon) -> None:
    either.configure(LINES)
    lines = [b"%d" % number for number in range(5000)]
    with either.start().connect("a") as sock:
        sock.sendall(b"\n".join([*lines, b""]))
        expected = b"".join(b"Hi, %s\n" % line for line in lines)
        assert receive(sock, len(expected)) == expected
    row = either.row("a")
    assert (row["messages_total"], row["errors"]) == (5000, {})
    assert row["sent_bytes_total"] == len(expected)


def test_a_line_in_many_writes_is_one_message(daemon: Daemon) -> None:
    daemon.configure(LINES)
    with daemon.start().connect("a") as sock:
        for byte in b"pieces":
            sock.send(bytes([byte]))
            until(lambda: is_read(sock))
        assert ask(sock, b"") == b"Hi, p"
        assert receive(sock, 6) == b"ieces\n"
    assert daemon.row("a")["messages_total"] == 1


def test_an_incomplete_message_at_end_of_file_is_answered_too(either: Daemon) -> None:
    either.configure(LINES)
    with either.start().connect("a") as sock:
        sock.sendall(b"one\ntwo")
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, 100) == b"Hi, one\nHi, two"  # and then end of file
    assert either.row("a")["connections"] == 0


def test_a_line_too_long_ends_the_connection_after_the_replies_before_it(either: Daemon) -> None:
    either.configure(LINES + "max_message = 8\n")
    with either.start().connect("a") as sock:
        # More than one read takes: what is left unread would make the close a reset.
        with suppress(BrokenPipeError):
            sock.sendall(b"12345678\n123456789\nnever answered\n" + b"unread" * 25_000)
        assert receive(sock, 100) == b"Hi, 12345678\n"  # a reset would raise
    assert either.errors("a") == {"too_long": 1}


def test_a_line_without_end_is_too_long_as_soon_as_it_is(daemon: Daemon) -> None:
    daemon.configure(LINES + "max_message = 8\n")
    with daemon.start().connect("a") as sock:
        sock.sendall(b"12345678")
        until(lambda: is_read(sock))
        sock.sendall(b"9")
        assert receive(sock, 100) == b""
    assert daemon.errors("a") == {"too_long": 1}


def test_records_are_c_strings_padded_with_nuls(either: Daemon) -> None:
    either.configure(LINES + 'framing = "record"\n')
    record = b"g1".ljust(4096, b"\0")
    with either.start().connect("a") as sock:
        sock.sendall(record + b"g2\0left over".ljust(4096, b"\0") + record[:1000])
        until(lambda: is_read(sock))
        sock.sendall(record[1000:])
        for name in (b"g1", b"g2", b"g1"):
            assert receive(sock, 4096) == (b"Hi, " + name).ljust(4096, b"\0")


def test_a_record_without_room_for_the_prefix_is_cut_and_still_ends_in_a_nul(
    daemon: Daemon,
) -> None:
    daemon.configure(LINES + 'framing = "record"\n')
    with daemon.start().connect("a") as sock:
        sock.sendall(b"x" * 4095 + b"\0")
        assert receive(sock, 4096) == b"Hi, " + b"x" * 4091 + b"\0"


def test_an_incomplete_record_is_counted_and_gets_no_reply(daemon: Daemon) -> None:
    daemon.configure(LINES + 'framing = "record"\n')
    with daemon.start().connect("a") as sock:
        sock.sendall(b"x" * 4095)
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, 1) == b""
    assert daemon.errors("a") == {"incomplete": 1}


def test_chunks_get_the_prefix_once_for_each_read(daemon: Daemon) -> None:
    daemon.configure(LINES + 'framing = "chunk"\n')
    with daemon.start().connect("a") as sock:
        for chunk in (b"no newline", b"two\nlines\n"):
            sock.sendall(chunk)
            assert receive(sock, len(chunk) + 4) == b"Hi, " + chunk


def test_without_a_prefix_a_slow_reader_gets_a_megabyte_back_byte_for_byte(
    either: Daemon,
) -> None:
    either.configure(LINES + 'framing = "chunk"\nprefix = ""\n')
    data = os.urandom(1 << 20)
    with either.start().connect("a") as sock:
        sock.setblocking(False)
        sent = 0
        with suppress(BlockingIOError):
            while sent < len(data):
                sent += sock.send(data[sent : sent + 10_000])
        # Nothing has been read, and the daemon has stopped reading as well, long before the end.
        assert sent < len(data)
        sock.settimeout(DEADLINE)
        writer = threading.Thread(target=sock.sendall, args=(data[sent:],))
        writer.start()
        replies = b"".join(receive(sock, 1 << 10) for _ in range(1 << 10))
        writer.join()
    assert replies == data


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("", b"\n" * 65536),  # every byte becomes five
        ("", b"x" * 127 + b"\n"),
        ('framing = "record"\n', bytes(4096)),
        ('framing = "chunk"\nprefix = ""\n', bytes(65536)),
    ],
    ids=["newlines", "lines", "records", "chunks"],
)
def test_peers_that_never_read_cost_little_memory_and_stop_nobody(
    daemon: Daemon, keys: str, message: bytes
) -> None:
    daemon.configure(LINES + keys + '[endpoints.b]\ntype = "stream"\nmode = "0666"\n')
    daemon.start()
    with daemon.connect("b") as other:
        ask(other, b"warm")
        before = resident(daemon.pid)
        peers = [daemon.connect("a") for _ in range(20)]
        fill_up(peers, [message], lambda: ask(other, b"turn"))
        # One reply each: at most a read of 64 KiB, times five where all of it is newlines.
        assert resident(daemon.pid) - before < 20 * 5 * 65536 + (4 << 20)
        used = cpu_seconds(daemon.pid)
        assert not select.select([other], [], [], 0.5)[0]
        assert cpu_seconds(daemon.pid) - used < 0.1  # it waits, and does not spin
        for peer in peers:
            peer.close()
    until(lambda: daemon.row("a")["connections"] == 0)


def test_a_peer_that_dies_with_unread_replies_is_counted_and_harms_nobody(daemon: Daemon) -> None:
    daemon.configure(LINES)
    daemon.start()
    with daemon.connect("a") as other:
        sock = daemon.connect("a")
        sock.sendall(b"never read\n")
        assert ask(other, b"x") == b"Hi, x\n"
        until(lambda: is_read(sock))
        assert ask(other, b"x") == b"Hi, x\n"
        sock.close()
        until(lambda: daemon.row("a")["connections"] == 1)
        assert ask(other, b"still here") == b"Hi, still here\n"
    assert daemon.errors("a") == {"connection_reset": 1}


def test_peers_tells_how_long_a_silent_client_has_been_connected(daemon: Daemon) -> None:
    daemon.configure(LINES)
    with daemon.start().connect("a") as sock:
        ask(sock, b"x")

        def seconds() -> float:
            (row,) = json.loads(daemon.ctl("peers", "--json").stdout)
            return float(row["connected_seconds"])

        until(lambda: seconds() > 0.5)
