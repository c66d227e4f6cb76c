"""Limits on connections: by number, by user, by silence, by list, and by the machine's own."""

import json
import os
import select
import socket
import time
from contextlib import ExitStack
from typing import Any

import pytest

from tests.integration.harness import (
    DEADLINE,
    Daemon,
    as_user,
    cpu_seconds,
    needs_root,
    receive,
    until,
)

STREAM = '[endpoints.a]\ntype = "stream"\nmode = "0666"\n'
GAMES, GAMES_GROUP = 5, 60  # an ordinary user of every Debian


def ask(sock: socket.socket, message: bytes = b"x") -> bytes:
    sock.sendall(message + b"\n")
    return receive(sock, len(message) + 5)


def test_at_max_connections_the_next_waits_and_is_served_when_one_leaves(either: Daemon) -> None:
    either.configure(STREAM + "max_connections = 2\n")
    either.start()
    with either.connect("a") as first, either.connect("a") as second:
        assert ask(first) == ask(second) == b"Hi, x\n"
        with either.connect("a") as third:
            third.sendall(b"patient\n")
            for _ in range(5):
                assert ask(first) == b"Hi, x\n"  # the daemon has its turns
            used = cpu_seconds(either.pid)
            assert not select.select([third], [], [], 0.5)[0]
            assert cpu_seconds(either.pid) - used < 0.1  # it waits for one to leave, asleep
            assert either.row("a")["connections"] == 2
            second.close()
            assert receive(third, 12) == b"Hi, patient\n"
    row = either.row("a")
    assert (row["accepted_total"], row["errors"], row["state"]) == (3, {}, "listening")


def test_a_client_that_waits_in_the_backlog_reads_end_of_file_when_the_endpoint_stops(
    daemon: Daemon,
) -> None:
    daemon.configure(STREAM + "max_connections = 1\n")
    daemon.start()
    with daemon.connect("a") as first:
        assert ask(first) == b"Hi, x\n"
        with daemon.connect("a") as second:
            second.sendall(b"not served\n")
            daemon.ctl("stop", "a")
            assert receive(first, 1) == receive(second, 1) == b""


def test_one_user_over_the_limit_is_closed_at_once_and_told_of(daemon: Daemon) -> None:
    daemon.configure(STREAM + "max_connections_per_user = 2\n")
    daemon.start()
    with daemon.connect("a") as first, daemon.connect("a") as second:
        assert ask(first) == ask(second) == b"Hi, x\n"
        with daemon.connect("a") as third:
            assert receive(third, 1) == b""
        row = daemon.row("a")
        assert (row["errors"], row["accepted_total"]) == ({"user_limit": 1}, 2)
        (event,) = events(daemon, "refused")
        assert event["endpoint"] == "a"
        assert (event["uid"], event["pid"]) == (os.geteuid(), os.getpid())
        assert event["text"].endswith("has 2 connections already")
        second.close()
        until(lambda: daemon.row("a")["connections"] == 1)
        with daemon.connect("a") as fourth:
            assert ask(fourth) == b"Hi, x\n"


@needs_root
def test_by_default_one_user_cannot_take_all_connections(daemon: Daemon) -> None:
    daemon.configure(STREAM)
    daemon.start()

    def connect_often() -> int:
        refused = 0
        with ExitStack() as stack:
            for _ in range(300):
                sock = stack.enter_context(daemon.connect("a"))
                try:
                    refused += ask(sock) != b"Hi, x\n"
                except OSError:  # closed before the message was sent
                    refused += 1
        return refused

    with daemon.connect("a") as other:
        assert as_user(GAMES, [], connect_often) == 300 - 256
        assert ask(other) == b"Hi, x\n"
    row = daemon.row("a")
    assert (row["accepted_total"], row["errors"]["user_limit"]) == (257, 300 - 256)


@needs_root
def test_the_limit_of_one_user_is_no_limit_for_another(daemon: Daemon) -> None:
    daemon.configure(STREAM + "max_connections_per_user = 1\n")
    daemon.start()

    def another() -> int:
        with daemon.connect("a") as sock:
            return ask(sock) == b"Hi, x\n"

    with daemon.connect("a") as first:
        assert ask(first) == b"Hi, x\n"
        assert as_user(GAMES, [], another) == 1


def events(daemon: Daemon, kind: str) -> list[dict[str, Any]]:
    """Return what has happened, as `events` tells it."""
    told = map(json.loads, daemon.ctl("events", "--json").stdout.splitlines())
    return [event for event in told if event["kind"] == kind]


@pytest.mark.parametrize("kind", ["stream", "seqpacket"])
def test_the_silent_are_closed_with_end_of_file_and_the_active_are_not(
    either: Daemon, kind: str
) -> None:
    either.configure(f'[endpoints.a]\ntype = "{kind}"\nmode = "0666"\nidle_timeout = 0.5\n')
    number = socket.SOCK_STREAM if kind == "stream" else socket.SOCK_SEQPACKET
    either.start()
    with either.connect("a", number) as active, either.connect("a", number) as silent:
        begin = time.monotonic()
        while not select.select([silent], [], [], 0.05)[0]:
            active.send(b"x\n")
            assert active.recv(100) == b"Hi, x\n"
        assert silent.recv(1) == b""
        assert 0.5 <= time.monotonic() - begin < DEADLINE
        active.send(b"x\n")
        assert active.recv(100) == b"Hi, x\n"
        assert either.errors("a").keys() == {"idle_timeout"}


def test_a_client_that_leaves_its_replies_unread_is_idle_too(daemon: Daemon) -> None:
    daemon.configure(STREAM + "idle_timeout = 0.3\n")
    with daemon.start().connect("a") as sock:
        try:
            while True:
                sock.sendall(b"\n" * 65536)
        except BrokenPipeError:
            pass
        while sock.recv(1 << 20):  # ends with end of file: a reset would raise
            pass
    assert daemon.errors("a") == {"idle_timeout": 1}


@needs_root
@pytest.mark.parametrize("kind", ["stream", "seqpacket"])
def test_allow_admits_users_and_groups_supplementary_ones_too(daemon: Daemon, kind: str) -> None:
    daemon.configure(
        f'[endpoints.a]\ntype = "{kind}"\nmode = "0666"\nallow = ["games", "@staff"]\n'
    )
    daemon.start()
    number = socket.SOCK_STREAM if kind == "stream" else socket.SOCK_SEQPACKET

    def answered() -> int:
        with daemon.connect("a", number) as sock:
            try:
                sock.send(b"x\n")
                return len(sock.recv(6))
            except (BrokenPipeError, ConnectionResetError):
                return 0

    staff, other = 50, 10
    assert as_user(GAMES, [], answered) == 6
    assert as_user(other, [staff], answered) == 6
    assert as_user(other, [GAMES_GROUP], answered) == 0
    assert as_user(0, [], answered) == 0  # also root, which is not on the list
    assert daemon.errors("a") == {"not_allowed": 2}
    assert {event["uid"] for event in events(daemon, "refused")} == {0, other}


@needs_root
def test_allow_of_datagrams_goes_by_user_and_primary_group(daemon: Daemon) -> None:
    daemon.configure(
        '[endpoints.d]\ntype = "datagram"\nmode = "0666"\nallow = ["root", "@staff"]\n'
    )
    daemon.start()
    staff, other = 50, 10

    def send(gid: int) -> int:
        os.setresgid(gid, gid, gid)
        os.setresuid(other, other, other)
        with daemon.connect("d", socket.SOCK_DGRAM) as sock:
            sock.bind("")
            sock.send(b"x")
        return 0

    with daemon.connect("d", socket.SOCK_DGRAM) as root:
        root.bind("")
        for gid in (staff, other):
            assert as_user(0, [staff], lambda gid=gid: send(gid)) == 0  # type: ignore[misc]
            root.send(b"now")
            assert root.recv(10) == b"Hi, now"
    row = daemon.row("d")
    assert (row["messages_total"], row["errors"]["not_allowed"]) == (3, 1)
    (event,) = events(daemon, "refused")
    assert (event["uid"], event["text"].endswith("not in allow")) == (other, True)


@pytest.mark.parametrize("kind", ["stream", "seqpacket", "datagram"])
def test_log_messages_writes_each_message_escaped_and_cut(daemon: Daemon, kind: str) -> None:
    daemon.configure(f'[endpoints.a]\ntype = "{kind}"\nmode = "0666"\nlog_messages = true\n')
    number = {"stream": 1, "datagram": 2, "seqpacket": 5}[kind]
    with daemon.start().connect("a", number) as sock:
        if kind == "datagram":
            sock.bind("")
        for message in (b"g1\n", b"\x1b[31mred\0\xff\n", b"y" * 5000 + b"\n"):
            sock.send(message)
            assert sock.recv(8192) == b"Hi, " + message
    lines = daemon.log.read_text(encoding="utf-8").splitlines()
    received = [line for line in lines if "Receive: " in line]
    assert received == [
        "INFO: Receive: g1",
        r"INFO: Receive: \x1b[31mred\x00\xff",
        f"INFO: Receive: {'y' * 200} ...",
    ]


@needs_root
def test_a_thousand_refusals_are_logged_once_and_counted_each_time(
    daemon: Daemon,
) -> None:
    daemon.configure('[endpoints.a]\ntype = "stream"\nmode = "0666"\nallow = ["daemon"]\n')
    daemon.start()
    for _ in range(1000):
        with daemon.connect("a") as sock:
            assert sock.recv(1) == b""
    for _ in range(3):
        assert daemon.ctl("stop", "a", user=2).returncode == 4
    assert daemon.errors("a") == {"not_allowed": 1000}
    assert len(events(daemon, "refused")) == 2
    log = daemon.log.read_text(encoding="utf-8")
    assert log.count("not in allow") == 1
    assert log.count("Stop refused") == 1
