"""Restarts and crashes of a real daemon, with a manager in miniature that keeps its descriptors."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.harness import DEADLINE, Daemon, connect_errno, receive
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
KEPT = ["@@config", "@@control", "@@kept", "@a", "@d"]


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
