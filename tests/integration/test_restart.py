"""Restarts and crashes of a real daemon, with a manager in miniature that keeps its descriptors."""

import os
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.harness import (
    DEADLINE,
    Daemon,
    connect_errno,
    fill_up,
    is_read,
    receive,
    until,
)
from tests.integration.manager import Manager

pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")

TWO = """\
[endpoints.a]
type = "stream"
mode = "0666"
[endpoints.d]
type = "datagram"
mode = "0666"
"""
KEPT = ["@@config", "@@control", "@@crash-slots", "@a", "@d"]


@pytest.fixture
def manager(daemon: Daemon) -> Iterator[Manager]:
    daemon.configure(TWO)
    manager = Manager(daemon)
    yield manager
    manager.close()


def inode(manager: Manager) -> int:
    return Path(manager.daemon.path("a")).stat().st_ino


def test_a_client_goes_on_in_the_middle_of_a_line(manager: Manager) -> None:
    manager.start()
    before, pid = inode(manager), manager.daemon.pid
    with manager.daemon.connect("a") as client:
        client.sendall(b"one\ntw")
        assert receive(client, 8) == b"Hi, one\n"
        for _ in range(3):
            manager.restart()
        client.sendall(b"o\n")
        assert receive(client, 8) == b"Hi, two\n"
        row = manager.daemon.row("a")
    assert manager.daemon.pid != pid
    assert inode(manager) == before
    assert (row["connections"], row["accepted_total"], row["messages_total"]) == (1, 1, 2)
    assert manager.names == KEPT


def test_who_connects_between_two_processes_waits_and_is_answered(manager: Manager) -> None:
    manager.start()
    assert manager.end("restart") == 0
    assert manager.names == sorted([*KEPT, "@@connections", "@@state"])
    with manager.daemon.connect("a") as client:
        client.sendall(b"early\n")
        manager.start()
        assert receive(client, 10) == b"Hi, early\n"


@pytest.mark.parametrize("job", ["stop", ""])
def test_any_other_end_hangs_up_and_leaves_nothing(manager: Manager, job: str) -> None:
    manager.start()
    with manager.daemon.connect("a") as client:
        client.sendall(b"last\nhalf")
        assert manager.end(job) == 0
        assert receive(client, 100) == b"Hi, last\nHi, half"
    assert manager.store == []
    assert [path.name for path in manager.daemon.runtime.iterdir()] == ["localechod.lock"]


def test_after_a_crash_the_listeners_are_still_there(manager: Manager) -> None:
    manager.start()
    before = inode(manager)
    for _ in range(3):
        with manager.daemon.connect("a") as client:
            client.sendall(b"x\n")
            receive(client, 6)
            manager.end("", signal.SIGKILL)
            assert client.recv(1) == b""
        assert connect_errno(manager.daemon.path("a")) == 0
        with manager.daemon.connect("a") as waiting:
            waiting.sendall(b"y\n")
            manager.start()
            assert receive(waiting, 6) == b"Hi, y\n"
    assert inode(manager) == before
    assert manager.names == KEPT


def test_a_broken_file_costs_no_connection(manager: Manager) -> None:
    manager.start()
    text = manager.daemon.config.read_text(encoding="utf-8")
    with manager.daemon.connect("a") as client:
        manager.daemon.config.write_text("version = ", encoding="utf-8")
        manager.restart()
        assert "degraded, on the last good configuration: " in manager.status
        assert str(manager.daemon.config) in manager.status
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"
        manager.daemon.config.write_text(text, encoding="utf-8")
        assert manager.daemon.ctl("reload").returncode == 0
        manager.restart()
        assert "degraded" not in manager.status
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"


def test_a_file_with_more_endpoints_than_descriptors_costs_no_connection(
    manager: Manager,
) -> None:
    manager.start()
    text = manager.daemon.config.read_text(encoding="utf-8")
    many = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3
    more = "".join(f'[endpoints.e{number}]\ntype = "stream"\n' for number in range(many))
    with manager.daemon.connect("a") as client:
        manager.daemon.config.write_text(text + more, encoding="utf-8")
        manager.restart()
        assert "on the last good configuration: too few descriptors" in manager.status
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"


def test_an_edited_file_counts_after_a_restart(manager: Manager) -> None:
    manager.start()
    with manager.daemon.connect("a") as client:
        manager.daemon.configure('[endpoints.a]\ntype = "stream"\nprefix = "> "\nmode = "0600"\n')
        manager.restart()
        client.sendall(b"x\n")
        assert receive(client, 4) == b"> x\n"
    assert Path(manager.daemon.path("a")).stat().st_mode & 0o777 == 0o600
    assert not Path(manager.daemon.path("d")).exists()
    assert manager.names == [name for name in KEPT if name != "@d"]


def test_many_connections_are_handed_over(manager: Manager) -> None:
    manager.daemon.configure(TWO + "[defaults]\nmax_connections_per_user = 0\n")
    manager.start()
    clients = [manager.daemon.connect("a") for _ in range(600)]
    for client in clients:
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"
    manager.restart()
    for number, client in enumerate(clients):
        client.sendall(b"%d\n" % number)
    for number, client in enumerate(clients):
        reply = b"Hi, %d\n" % number
        assert receive(client, len(reply)) == reply
        client.close()


def test_a_datagram_sent_meanwhile_is_answered(manager: Manager, sockdir: Path) -> None:
    manager.start()
    assert manager.end("restart") == 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.bind(str(sockdir / "client"))
        (sockdir / "client").chmod(0o666)
        client.sendto(b"between", manager.daemon.path("d"))
        manager.start()
        assert client.recv(100) == b"Hi, between"


def kept(manager: Manager, count: int) -> None:
    """Wait until so many connections are stored."""
    until(lambda: manager.connections == count)


def crash(manager: Manager) -> None:
    manager.end("", signal.SIGKILL)
    manager.start()


def test_a_connection_that_lives_long_enough_survives_crashes(manager: Manager) -> None:
    manager.start()
    with manager.daemon.connect("a") as client:
        client.sendall(b"one\n")
        assert receive(client, 8) == b"Hi, one\n"
        kept(manager, 1)
        for _ in range(3):
            crash(manager)
            client.sendall(b"two\n")
            assert receive(client, 8) == b"Hi, two\n"
            manager.restart()
            client.sendall(b"three\n")
            assert receive(client, 10) == b"Hi, three\n"
        row = manager.daemon.row("a")
        assert (row["connections"], manager.connections) == (1, 1)
    kept(manager, 0)


def test_of_a_line_that_was_read_in_part_nothing_is_answered(manager: Manager) -> None:
    manager.start()
    with manager.daemon.connect("a") as client:
        client.sendall(b"one\nhal")
        assert receive(client, 8) == b"Hi, one\n"
        kept(manager, 1)
        until(lambda: is_read(client))
        crash(manager)
        client.sendall(b"f\ntwo\n")
        assert receive(client, 8) == b"Hi, two\n"


def test_a_restart_in_the_middle_of_what_a_crash_left(manager: Manager) -> None:
    manager.start()
    with manager.daemon.connect("a") as client:
        client.sendall(b"lost")
        kept(manager, 1)
        until(lambda: is_read(client))
        crash(manager)
        client.sendall(b" and")
        until(lambda: is_read(client))
        manager.restart()
        client.sendall(b" lost\nfound\n")
        assert receive(client, 10) == b"Hi, found\n"


def test_a_client_whose_reply_is_not_sent_reads_end_of_file(manager: Manager) -> None:
    # Each reply is longer than what is sent whole or not at all; what is not may be lost instead.
    manager.daemon.configure(TWO + "[defaults]\nmax_message = 1000000\n")
    manager.start()
    with manager.daemon.connect("a") as client:
        fill_up([client], [b"x" * 60000 + b"\n"], lambda: manager.daemon.row("a"))
        kept(manager, 1)
        crash(manager)
        client.settimeout(DEADLINE)
        while client.recv(1 << 20):
            pass  # whatever comes is whole but for the last, and the end is no reset
    assert manager.connections == 0


def test_who_leaves_makes_room_for_the_next(manager: Manager) -> None:
    manager.daemon.configure(TWO, service="crash_keep = 2")
    manager.start()
    clients = [manager.daemon.connect("a") for _ in range(4)]
    kept(manager, 2)
    clients[0].close()
    until(lambda: manager.daemon.row("a")["connections"] == 3)
    kept(manager, 2)
    crash(manager)
    for client in clients[1:3]:
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"
    assert clients[3].recv(1) == b""
    for client in clients:
        client.close()
    kept(manager, 0)


def test_nobody_is_kept_where_nobody_shall_be(manager: Manager) -> None:
    manager.start()
    with manager.daemon.connect("a") as client:
        kept(manager, 1)
        manager.daemon.configure(TWO, service="crash_keep = 0")
        manager.restart()
        kept(manager, 0)
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"
        manager.end("", signal.SIGKILL)
        assert client.recv(1) == b""


@pytest.mark.parametrize("ending", ["stop", "ctl", "idle"])
def test_a_kept_connection_ends_like_any_other(manager: Manager, ending: str) -> None:
    manager.daemon.configure(TWO + "[defaults]\nidle_timeout = 3.0\n" * (ending == "idle"))
    manager.start()
    with manager.daemon.connect("a") as client:
        kept(manager, 1)
        if ending == "stop":
            assert manager.end("stop") == 0
            assert manager.store == []
        elif ending == "ctl":
            assert manager.daemon.ctl("stop", "a").returncode == 0
        assert client.recv(1) == b""  # though the manager is late, or never reads what it is told
    kept(manager, 0)


@pytest.mark.parametrize("gone", ["", "enabled = false\n"], ids=["removed", "disabled"])
def test_clients_of_an_endpoint_that_is_gone_after_a_crash_read_end_of_file(
    manager: Manager, gone: str
) -> None:
    manager.start()
    with manager.daemon.connect("a") as client:
        kept(manager, 1)
        rest = TWO[TWO.index("[endpoints.d]") :]
        manager.daemon.configure(rest + (f'[endpoints.a]\ntype = "stream"\n{gone}' if gone else ""))
        crash(manager)
        assert client.recv(1) == b""
    kept(manager, 0)


def test_a_file_that_is_broken_at_the_moment_of_a_crash_costs_nothing(manager: Manager) -> None:
    manager.start()
    text = manager.daemon.config.read_text(encoding="utf-8")
    manager.daemon.config.write_text(text.replace('"stream"', '"stream"\nprefix = "> "'))
    assert manager.daemon.ctl("reload").returncode == 0
    with manager.daemon.connect("a") as client:
        kept(manager, 1)
        manager.daemon.config.write_text("version = ", encoding="utf-8")
        for _ in range(2):
            crash(manager)
            assert "degraded, on the last good configuration: " in manager.status
            client.sendall(b"x\n")
            assert receive(client, 4) == b"> x\n"
        manager.daemon.config.write_text(text, encoding="utf-8")
        crash(manager)
        assert "degraded" not in manager.status
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"


def test_memory_of_another_version_is_refused_and_its_clients_read_end_of_file(
    manager: Manager,
) -> None:
    manager.start()
    with manager.daemon.connect("a") as client:
        kept(manager, 1)
        manager.end("", signal.SIGKILL)
        (memory,) = (fd for name, fd in manager.store if name == "@@crash-slots")
        os.pwrite(memory, b"\xff", 16)
        manager.start()
        assert client.recv(1) == b""
    kept(manager, 0)
    assert manager.names == KEPT
    with manager.daemon.connect("a"):
        kept(manager, 1)


def test_records_and_packets_survive_a_crash(manager: Manager) -> None:
    manager.daemon.configure(
        '[endpoints.a]\ntype = "stream"\nframing = "record"\nrecord_size = 8\n'
        '[endpoints.p]\ntype = "seqpacket"\n'
    )
    manager.start()
    with (
        manager.daemon.connect("a") as records,
        manager.daemon.connect("p", socket.SOCK_SEQPACKET) as packets,
    ):
        records.sendall(b"one\0\0\0\0\0half")
        assert receive(records, 8) == b"Hi, one\0"
        kept(manager, 2)
        until(lambda: is_read(records))
        crash(manager)
        records.sendall(b"\0\0\0\0two\0\0\0\0\0")
        assert receive(records, 8) == b"Hi, two\0"
        for packet in (b"", b"x"):
            packets.send(packet)
            assert packets.recv(100) == b"Hi, " + packet


@pytest.mark.parametrize("how", ["restart", "reload"])
def test_another_framing_ends_who_is_still_in_a_lost_message(manager: Manager, how: str) -> None:
    manager.start()
    with manager.daemon.connect("a") as client:
        client.sendall(b"lost")
        kept(manager, 1)
        until(lambda: is_read(client))
        crash(manager)
        manager.daemon.configure(TWO.replace('"stream"', '"stream"\nframing = "record"'))
        if how == "restart":
            manager.restart()
        else:
            assert manager.daemon.ctl("reload").returncode == 0
        assert client.recv(1) == b""
    kept(manager, 0)
