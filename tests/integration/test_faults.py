"""Endpoints with faults: what a real client meets, for each key and type."""

import errno
import json
import select
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial

import pytest

from tests.integration.harness import (
    DEADLINE,
    Daemon,
    connect_errno,
    descriptors,
    is_read,
    receive,
    resident,
    until,
)

STREAM, SEQPACKET, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM
CONNECTED = pytest.mark.parametrize("kind", [STREAM, SEQPACKET], ids=["stream", "seqpacket"])
NAMES = {STREAM: "stream", SEQPACKET: "seqpacket", DATAGRAM: "datagram"}


GOOD = '[endpoints.good]\ntype = "stream"\nmode = "0666"\n'


def endpoint(kind: socket.SocketKind, faults: str, more: str = "") -> str:
    """Return the configuration of an endpoint with these faults, and of a good one."""
    return (
        f'[endpoints.bad]\ntype = "{NAMES[kind]}"\nmode = "0666"\nprefix = ""\n'
        f"faults = {{ {faults} }}\n{more}{GOOD}"
    )


def start(daemon: Daemon, kind: socket.SocketKind, faults: str, more: str = "") -> None:
    daemon.configure(endpoint(kind, faults, more))
    daemon.start()


def ask(sock: socket.socket, message: bytes) -> bytes:
    sock.send(message)
    return sock.recv(1 << 16)


def assert_good(daemon: Daemon) -> None:
    with daemon.connect("good") as sock:
        assert ask(sock, b"hello\n") == b"Hi, hello\n"


def failure(action: Callable[[], object]) -> int:
    """Return the errno of an action that has to fail."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the caller looks at its errno
        action()
    return caught.value.errno or 0


@CONNECTED
def test_close_after_so_many_messages_the_client_reads_end_of_file(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "close_after = 2")
    with either.connect("bad", kind) as sock:
        assert [ask(sock, b"1\n"), ask(sock, b"2\n"), sock.recv(10)] == [b"1\n", b"2\n", b""]
    assert either.row("bad")["faults_total"] == {"close_after": 1}
    assert_good(either)


@CONNECTED
def test_close_after_answers_no_message_that_was_sent_ahead(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "close_after = 2")
    with either.connect("bad", kind) as sock:
        for number in range(5):
            with suppress(BrokenPipeError):
                sock.send(b"%d\n" % number)
        replies = [sock.recv(2) for _ in range(3)]
    assert replies == [b"0\n", b"1\n", b""]


@CONNECTED
def test_reset_after_so_many_messages_the_client_gets_econnreset(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "reset_after = 1")
    with either.connect("bad", kind) as sock:
        assert ask(sock, b"1\n") == b"1\n"
        sock.send(b"2\n")
        assert failure(partial(sock.recv, 10)) == errno.ECONNRESET
    assert either.row("bad")["faults_total"] == {"reset_after": 1}


@CONNECTED
def test_reset_after_comes_behind_all_replies_to_a_client_that_sends_ahead(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "reset_after = 2")
    for _ in range(20):
        with either.connect("bad", kind) as sock:
            for number in range(5):
                sock.send(b"%d\n" % number)
            assert receive(sock, 2) + receive(sock, 2) == b"0\n1\n"
            assert failure(partial(sock.recv, 10)) == errno.ECONNRESET


@CONNECTED
def test_close_on_accept_is_end_of_file_even_for_a_client_that_has_sent(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "close_on_accept = true")
    with either.connect("bad", kind) as sock:
        assert sock.recv(10) == b""
    with either.connect("bad", kind) as sock:
        with suppress(BrokenPipeError):
            sock.send(b"1\n")
        assert sock.recv(10) == b""
    assert either.row("bad")["faults_total"] == {"close_on_accept": 2}


@CONNECTED
def test_reset_on_accept_is_a_reset_with_the_first_byte(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "reset_on_accept = true")
    for _ in range(20):
        with either.connect("bad", kind) as sock:
            sock.send(b"1\n")
            assert failure(partial(sock.recv, 10)) == errno.ECONNRESET
    assert either.row("bad")["faults_total"] == {"reset_on_accept": 20}


@CONNECTED
def test_never_accept_fills_the_backlog(either: Daemon, kind: socket.SocketKind) -> None:
    start(either, kind, "never_accept = true", "backlog = 3\n")
    clients = []
    while True:
        sock = socket.socket(socket.AF_UNIX, kind)
        clients.append(sock)
        sock.setblocking(False)
        number = sock.connect_ex(either.path("bad"))
        if number:
            break
    assert (number, len(clients)) == (errno.EAGAIN, 5)  # backlog + 1 connect
    assert_good(either)
    assert either.row("bad")["accepted_total"] == 0
    assert either.ctl("stop", "bad").returncode == 0
    assert clients[0].recv(10) == b""
    for sock in clients:
        sock.close()


@CONNECTED
def test_never_read_blocks_the_clients_writes(either: Daemon, kind: socket.SocketKind) -> None:
    start(either, kind, "never_read = true")
    with either.connect("bad", kind) as sock:
        sock.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                sock.send(bytes(1024))
        assert failure(partial(sock.send, bytes(1024))) == errno.EAGAIN
    row = either.row("bad")
    assert (row["received_bytes_total"], row["faults_total"]) == (0, {"never_read": 1})
    until(lambda: not either.row("bad")["connections"])
    assert_good(either)


@CONNECTED
def test_never_reply_reads_everything_and_answers_nothing(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "never_reply = true")
    with either.connect("bad", kind) as sock:
        for _ in range(1000):
            sock.send(b"1\n")
        until(lambda: either.row("bad")["messages_total"] == 1000)
        assert not select.select([sock], [], [], 0)[0]
    assert either.row("bad")["faults_total"] == {"never_reply": 1000}


@CONNECTED
def test_half_close_ends_after_the_first_reply_and_reads_on(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "half_close = true")
    with either.connect("bad", kind) as sock:
        assert [ask(sock, b"1\n"), sock.recv(10)] == [b"1\n", b""]
        for _ in range(100):
            sock.send(b"2\n")
        until(lambda: either.row("bad")["messages_total"] == 101)
    row = either.row("bad")
    assert (row["sent_bytes_total"], row["faults_total"]) == (2, {"half_close": 1})


@CONNECTED
def test_truncate_sends_so_many_bytes_and_then_end_of_file(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "truncate = 3")
    with either.connect("bad", kind) as sock:
        assert [ask(sock, b"ab\n"), ask(sock, b"abcd\n"), sock.recv(9)] == [b"ab\n", b"abc", b""]
    assert either.row("bad")["faults_total"] == {"truncate": 1}


@CONNECTED
def test_delay_holds_back_one_connection_and_no_other(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "delay = 0.2, jitter = 0.1, seed = 7")
    with either.connect("bad", kind) as late, either.connect("bad", kind) as early:
        began = time.monotonic()
        late.send(b"1\n")
        early.send(b"2\n")
        assert_good(either)
        assert not select.select([late], [], [], 0)[0]
        assert (late.recv(10), early.recv(10)) == (b"1\n", b"2\n")
        assert time.monotonic() - began >= 0.2
    assert either.row("bad")["faults_total"] == {"delay": 2}


def test_pieces_come_one_by_one_with_a_pause(either: Daemon) -> None:
    start(either, STREAM, "pieces = 2, pause = 0.02")
    with either.connect("bad") as sock:
        sock.send(b"abcde\n")
        assert [sock.recv(10) for _ in range(3)] == [b"ab", b"cd", b"e\n"]
    assert either.row("bad")["faults_total"] == {"pieces": 1}


def test_pieces_without_a_pause_arrive_whole(either: Daemon) -> None:
    start(either, STREAM, "pieces = 1")
    text = b"x" * 40000 + b"\n"
    with either.connect("bad") as sock:
        sock.sendall(text)
        assert receive(sock, len(text)) == text


def test_records_are_dropped_duplicated_and_reordered(either: Daemon) -> None:
    start(either, SEQPACKET, "drop = 0.3, duplicate = 0.3, reorder = 0.3, seed = 1")
    runs = []
    for _ in range(2):
        with either.connect("bad", SEQPACKET) as sock:
            for number in range(100):
                sock.send(b"%d" % number)
            sock.shutdown(socket.SHUT_WR)
            runs.append(list(iter(partial(sock.recv, 100), b"")))
        assert either.ctl("restart", "bad").returncode == 0
    numbers = [int(record) for record in runs[0]]
    assert runs[0] == runs[1]
    assert len(set(numbers)) < 100
    assert len(numbers) > len(set(numbers))
    assert numbers != sorted(numbers)
    assert set(either.row("bad")["faults_total"]) == {"drop", "duplicate", "reorder"}


@CONNECTED
def test_corrupt_changes_one_bit_of_the_share(either: Daemon, kind: socket.SocketKind) -> None:
    start(either, kind, "corrupt = 1, seed = 3")
    with either.connect("bad", kind) as sock:
        reply = ask(sock, b"\0" * 9 + b"\n")
    changed = int.from_bytes(reply, "big") ^ int.from_bytes(b"\0" * 9 + b"\n", "big")
    assert changed.bit_count() == 1


@CONNECTED
def test_die_after_so_many_messages_connects_are_refused_until_start(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "die_after = 2")
    with either.connect("bad", kind) as one, either.connect("bad", kind) as two:
        assert [ask(one, b"1\n"), ask(two, b"2\n")] == [b"1\n", b"2\n"]
        assert [one.recv(10), two.recv(10)] == [b"", b""]
    assert connect_errno(either.path("bad"), kind) == errno.ECONNREFUSED
    row = either.row("bad")
    assert (row["state"], row["error"], row["faults_total"]) == (
        "stopped",
        "fault die_after: it has died, after 2 messages",
        {"die_after": 1},
    )
    assert_good(either)
    assert either.ctl("start", "bad").returncode == 0
    with either.connect("bad", kind) as sock:
        assert ask(sock, b"3\n") == b"3\n"


@CONNECTED
def test_a_reload_changes_faults_of_open_connections(
    either: Daemon, kind: socket.SocketKind
) -> None:
    start(either, kind, "close_after = 9")
    with either.connect("bad", kind) as sock:
        assert ask(sock, b"1\n") == b"1\n"
        for faults, replies in (
            ("", b"2\n"),
            ("pieces = 9" if kind == STREAM else "delay = 0.01", b"3\n"),
            ("", b"4\n"),
        ):
            either.configure(endpoint(kind, faults))
            assert either.ctl("reload").returncode == 0
            assert ask(sock, replies) == replies
        either.configure(endpoint(kind, "close_after = 4"))
        assert either.ctl("reload").returncode == 0
        assert sock.recv(10) == b""
    until(lambda: not either.row("bad")["connections"])


def test_status_metrics_and_events_tell_faults(daemon: Daemon) -> None:
    start(daemon, STREAM, "close_after = 1, seed = 5")
    with daemon.connect("bad") as sock:
        assert ask(sock, b"1\n") == b"1\n"
        assert sock.recv(10) == b""
    assert daemon.row("bad")["faults"] == {"close_after": 1, "seed": 5}
    metrics = daemon.ctl("metrics").stdout
    assert 'localechod_faults_total{endpoint="bad",type="stream",fault="close_after"} 1' in metrics
    assert "faults: close_after = 1, seed = 5" in daemon.ctl("status", "bad").stdout
    events = [json.loads(line) for line in daemon.ctl("events", "--json").stdout.splitlines()]
    told = [each["text"] for each in events if each["kind"] == "fault"]
    assert told == ["fault close_after: connection 1, message 1"]


class Sender:
    """A bound datagram client."""

    def __init__(self, daemon: Daemon, name: str = "client") -> None:
        self.sock = socket.socket(socket.AF_UNIX, DATAGRAM)
        self.sock.settimeout(DEADLINE)
        self.sock.bind(str(daemon.directory / f"{name}.sock"))
        (daemon.directory / f"{name}.sock").chmod(0o666)
        self.sock.connect(daemon.path("bad"))

    def __enter__(self) -> socket.socket:
        return self.sock

    def __exit__(self, *_error: object) -> None:
        self.sock.close()


def test_datagrams_are_dropped_duplicated_and_reordered_the_same_again(either: Daemon) -> None:
    start(either, DATAGRAM, "drop = 0.3, duplicate = 0.3, reorder = 0.3, seed = 1")
    runs = []
    for turn in "ab":
        with Sender(either, turn) as sock:
            replies = []
            for number in range(50):
                sock.send(b"%d" % number)
                until(partial(is_read, sock))
                with either.connect("good") as other:  # the endpoint has had its turn
                    assert ask(other, b"1\n")
                while select.select([sock], [], [], 0)[0]:
                    replies.append(int(sock.recv(100)))
            runs.append(replies)
        assert either.ctl("restart", "bad").returncode == 0
    assert runs[0] == runs[1]
    assert len(set(runs[0])) < 50
    assert len(runs[0]) > len(set(runs[0]))
    assert runs[0] != sorted(runs[0])


def test_a_datagram_comes_late(either: Daemon) -> None:
    start(either, DATAGRAM, "delay = 0.2")
    with Sender(either, "c") as sock:
        began = time.monotonic()
        for number in range(3):
            sock.send(b"%d" % number)
        assert_good(either)
        assert not select.select([sock], [], [], 0)[0]
        assert [sock.recv(10) for _ in range(3)] == [b"0", b"1", b"2"]
        assert time.monotonic() - began < 3 * 0.2 + DEADLINE / 2  # they wait side by side


def test_datagrams_that_are_never_read_block_their_sender(either: Daemon) -> None:
    start(either, DATAGRAM, "never_read = true")
    with Sender(either, "c") as sock:
        sock.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                sock.send(b"x")
        assert failure(partial(sock.send, b"x")) == errno.EAGAIN
        assert_good(either)
        either.configure(endpoint(DATAGRAM, ""))
        assert either.ctl("reload").returncode == 0
        sock.settimeout(DEADLINE)
        assert sock.recv(10) == b"x"


def test_a_datagram_endpoint_dies_and_its_senders_are_refused(either: Daemon) -> None:
    start(either, DATAGRAM, "die_after = 2, delay = 0.01")
    with Sender(either, "c") as sock:
        assert [ask(sock, b"1"), ask(sock, b"2")] == [b"1", b"2"]
        until(lambda: either.row("bad")["state"] == "stopped")
        assert failure(partial(sock.send, b"3")) == errno.ECONNREFUSED
    assert connect_errno(either.path("bad"), DATAGRAM) == errno.ECONNREFUSED
    assert either.ctl("start", "bad").returncode == 0
    with Sender(either, "d") as sock:
        assert ask(sock, b"3") == b"3"


def test_delayed_datagrams_of_a_user_are_bounded(either: Daemon) -> None:
    start(either, DATAGRAM, "delay = 3600", "max_message = 65536\n")
    with Sender(either, "c") as sock:
        for _ in range(200):
            sock.send(bytes(60000))
        until(lambda: either.row("bad")["messages_total"] == 200)
    assert either.errors("bad")["delayed_limit"] == 200 - (4 << 20) // (60000 + 1024)
    assert_good(either)


@pytest.mark.parametrize(
    "faults", ["delay = 3600", "never_read = true", "pieces = 1, pause = 3600", "reset_after = 1"]
)
def test_a_hostile_user_of_faulty_endpoints_stays_bounded(daemon: Daemon, faults: str) -> None:
    start(daemon, STREAM, faults, "max_connections_per_user = 200\nmax_message = 60000\n")
    with daemon.connect("bad"):
        until(lambda: daemon.row("bad")["connections"] == 1)
    before = resident(daemon.pid)
    message = b"x" * 50000 + b"\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(daemon.connect("bad")) for _ in range(200)]
        for sock in clients:
            sock.setblocking(False)
            with suppress(BlockingIOError, BrokenPipeError):
                while True:
                    sock.send(message)
        assert_good(daemon)
        until(lambda: daemon.row("bad")["connections"] == 200)
        assert_good(daemon)
        assert resident(daemon.pid) - before < 200 * 4 * len(message)
        assert daemon.ctl("stop", "bad").returncode == 0
        assert not daemon.row("bad")["connections"]
    assert len(daemon.log.read_text(encoding="utf-8").splitlines()) < 100
    until(lambda: descriptors(daemon.pid) < 60)
