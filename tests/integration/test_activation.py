"""Sockets that a manager passes: served, turned away and given back, never shut or removed."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.harness import DEADLINE, OWN_ACCOUNT, Daemon, connect_errno, receive, until
from tests.integration.manager import Manager

pytest.importorskip("systemd.daemon", reason="systemd-python is not installed")

UNIT = "localechod.socket"
A = '[endpoints.a]\ntype = "stream"\nmode = "0666"\n'
TWO = A + f'[endpoints.d]\ntype = "datagram"\nmode = "0666"\nallow = ["{OWN_ACCOUNT}"]\n'
OWN = '[endpoints.own]\ntype = "stream"\nmode = "0666"\n'


@pytest.fixture
def manager(daemon: Daemon) -> Iterator[Manager]:
    """A manager that holds the sockets of a and d."""
    daemon.configure(TWO + OWN)
    manager = Manager(daemon)
    daemon.runtime.mkdir()
    daemon.runtime.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(daemon.runtime, 65534, 65534)
    for name, kind in (("a", socket.SOCK_STREAM), ("d", socket.SOCK_DGRAM)):
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.bind(daemon.path(name))
        Path(daemon.path(name)).chmod(0o666)
        if kind == socket.SOCK_STREAM:
            sock.listen()
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.store.append((UNIT, sock.detach()))
    yield manager
    manager.close()


def inodes(manager: Manager) -> list[int]:
    return [Path(manager.daemon.path(name)).stat().st_ino for name in "ad"]


def answered(manager: Manager) -> None:
    with manager.daemon.connect("a") as client:
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"


def said(manager: Manager) -> str:
    return manager.daemon.log.read_text(encoding="utf-8")


def test_who_came_before_the_start_is_answered(manager: Manager, sockdir: Path) -> None:
    with (
        manager.daemon.connect("a") as client,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        client.sendall(b"early\n")
        sender.settimeout(DEADLINE)
        sender.bind(str(sockdir / "sender"))
        (sockdir / "sender").chmod(0o666)
        sender.sendto(b"early", manager.daemon.path("d"))
        manager.start()
        assert receive(client, 10) == b"Hi, early\n"
        assert sender.recv(100) == b"Hi, early"  # by `allow`: the kernel has told who it was


def test_a_stop_closes_nothing_of_the_managers(manager: Manager) -> None:
    before = inodes(manager)
    for _ in range(2):
        manager.start()
        answered(manager)
        assert Path(manager.daemon.path("own")).exists()
        with manager.daemon.connect("a") as client:
            client.sendall(b"last\nhalf")
            assert manager.end("stop") == 0
            assert receive(client, 100) == b"Hi, last\nHi, half"
        assert manager.names == [UNIT, UNIT]
        assert inodes(manager) == before
        assert not Path(manager.daemon.path("own")).exists()
    with manager.daemon.connect("a") as waiting:
        waiting.sendall(b"w\n")
        manager.start()
        assert receive(waiting, 6) == b"Hi, w\n"


def test_a_restart_and_a_crash_keep_what_they_keep_without_it(manager: Manager) -> None:
    before = inodes(manager)
    manager.start()
    with manager.daemon.connect("a") as client:
        client.sendall(b"one\ntw")
        assert receive(client, 8) == b"Hi, one\n"
        manager.restart()
        client.sendall(b"o\n")
        assert receive(client, 8) == b"Hi, two\n"
    # Not stored a second time: systemd passes them in any case.
    assert manager.names == ["@@config", "@@control", "@@crash-slots", "@own", UNIT, UNIT]
    manager.end("", signal.SIGKILL)
    manager.start()
    answered(manager)
    assert inodes(manager) == before


def test_stopped_by_hand_it_hangs_up_at_once_and_start_serves_again(
    manager: Manager, sockdir: Path
) -> None:
    before = inodes(manager)
    manager.start()
    stopped = manager.daemon.ctl("stop", "a", "d")
    assert (stopped.returncode, stopped.stdout) == (0, "a: stopped\nd: stopped\n")
    assert "a: systemd keeps its socket open, and clients are turned away" in stopped.stderr
    assert "systemctl stop localechod.socket" in stopped.stderr
    for _ in range(2):
        with manager.daemon.connect("a") as client:
            assert client.recv(10) == b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(DEADLINE)
        sender.bind(str(sockdir / "sender"))
        (sockdir / "sender").chmod(0o666)
        sender.connect(manager.daemon.path("d"))
        sender.send(b"dropped")
        until(lambda: manager.daemon.errors("d") == {"endpoint_stopped": 1})
        assert manager.daemon.errors("a") == {"endpoint_stopped": 2}
        assert manager.daemon.ctl("start", "a", "d").returncode == 0
        sender.send(b"x")
        assert sender.recv(10) == b"Hi, x"
    answered(manager)
    assert manager.daemon.ctl("restart", "a").returncode == 0
    answered(manager)
    assert inodes(manager) == before
    assert manager.daemon.row("a")["state"] == "listening"


@pytest.mark.parametrize(
    "text",
    [
        OWN,
        A.replace("stream", "seqpacket") + OWN,
        A + 'path = "/tmp/localechod-elsewhere"\n' + OWN,
    ],
    ids=["removed", "type", "path"],
)
def test_what_it_cannot_follow_is_refused_before_anything_changes(
    manager: Manager, text: str
) -> None:
    manager.start()
    good = manager.daemon.config.read_text(encoding="utf-8")
    d = TWO.removeprefix(A)
    with manager.daemon.connect("a") as client:
        manager.daemon.configure(text.replace('mode = "0666"', 'mode = "0600"') + d)
        refused = manager.daemon.ctl("reload")
        assert refused.returncode == 1
        assert "systemd has bound its socket, and the service cannot move it" in refused.stderr
        assert "systemctl edit localechod.socket" in refused.stderr
        assert manager.daemon.row("own")["mode"] == "0666"
        # A restart goes on under the last good configuration, and says so.
        manager.restart()
        assert "degraded, on the last good configuration: socket activation failed" in (
            manager.status
        )
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"
        manager.daemon.config.write_text(good, encoding="utf-8")
        assert manager.daemon.ctl("reload").returncode == 0
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"


def test_disabled_it_is_as_stopped_also_from_the_start(manager: Manager) -> None:
    manager.start()
    manager.daemon.configure(TWO.replace(A, A + "enabled = false\n") + OWN)
    assert manager.daemon.ctl("reload").returncode == 0
    for _ in range(2):
        with manager.daemon.connect("a") as client:
            assert client.recv(1) == b""
        manager.restart()
    manager.daemon.configure(TWO + OWN)
    assert manager.daemon.ctl("reload").returncode == 0
    answered(manager)


def test_owner_and_mode_are_the_managers(manager: Manager) -> None:
    path = Path(manager.daemon.path("a"))
    path.chmod(0o606)
    manager.start()
    assert said(manager).count("mode 0606 instead of 0666") == 1
    assert manager.daemon.row("a")["mode"] == "0606"
    assert manager.daemon.row("a")["owner"] == path.owner()
    path.chmod(0o646)
    assert manager.daemon.row("a")["mode"] == "0646"
    manager.daemon.configure(TWO.replace(A, A.replace("0666", "0600") + "backlog = 3\n") + OWN)
    with manager.daemon.connect("a") as client:
        assert manager.daemon.ctl("reload").returncode == 0
        client.sendall(b"x\n")
        assert receive(client, 6) == b"Hi, x\n"
    assert path.stat().st_mode & 0o777 == 0o646
    assert manager.daemon.row("a")["state"] == "listening"
    assert "owner, mode and backlog are set by its socket unit" in said(manager)


@pytest.mark.parametrize("when", ["running", "before"])
def test_a_lost_path_is_not_bound_again(manager: Manager, when: str) -> None:
    path = Path(manager.daemon.path("a"))
    if when == "before":
        path.unlink()
    manager.start()
    if when == "running":
        path.unlink()
    until(lambda: manager.daemon.row("a")["state"] == "degraded")
    row = manager.daemon.ctl("status").stdout
    assert "systemctl restart localechod.socket" in row
    assert not path.exists()
    assert manager.daemon.row("own")["state"] == "listening"


def test_a_moved_path_that_comes_back_is_cured(manager: Manager) -> None:
    path = Path(manager.daemon.path("a"))
    manager.start()
    path.rename(path.with_name("moved"))
    until(lambda: manager.daemon.row("a")["state"] == "degraded")
    path.with_name("moved").rename(path)
    until(lambda: manager.daemon.row("a")["state"] == "listening")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("web\x1b", '("web\\x1b"), a stream socket at '),
        ("unknown", "(without a name), a stream socket at "),
        ("d", "wanted is d: datagram at "),
    ],
)
def test_a_name_that_fits_nothing_ends_the_start_and_leaves_the_sockets(
    manager: Manager, name: str, wanted: str
) -> None:
    manager.store[0] = (name, manager.store[0][1])
    assert manager.refused() == 2
    assert wanted in said(manager)
    assert "FileDescriptorName=" in said(manager)
    assert "Traceback" not in said(manager)
    assert connect_errno(manager.daemon.path("a")) == 0
    assert not Path(manager.daemon.path("own")).exists()
